"""Sessions, quotes, bars and indicators: what is known of the market right now."""
