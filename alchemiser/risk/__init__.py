"""What may be traded at all: pre-trade checks with named codes, and the trading state."""
