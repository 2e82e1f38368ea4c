"""The venue adapter: Alpaca's REST and streams, translated to domain values and back."""
