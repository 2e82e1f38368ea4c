"""Strategies over history."""
