"""Tests of the market facts: calendar, quotes, history, indicators."""
