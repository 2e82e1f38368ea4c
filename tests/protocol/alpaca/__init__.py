"""The venue adapter against what others say of the protocol: Alpaca's own models, and the embedded exchange."""
