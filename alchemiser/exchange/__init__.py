"""The embedded Alpaca-compatible exchange: an independent counterparty on loopback."""
