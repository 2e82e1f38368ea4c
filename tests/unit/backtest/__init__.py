"""Backtests: the engine, its timing and its figures."""
