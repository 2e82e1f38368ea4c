"""From targets to intents, and the exact ledger of every strategy."""
