"""Strategies: reading, checking, deciding, explaining."""
