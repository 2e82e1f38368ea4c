"""From intents to fills: order states, tactics, pacing of a rebalance."""
