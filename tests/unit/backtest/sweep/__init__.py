"""Sweeps: what varies, what is best, where it is kept, who works, and walking forward."""
