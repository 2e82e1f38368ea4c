"""The Alchemiser: an event-driven daemon that trades one Alpaca account with many strategies."""

__version__ = "0.1.0"
