"""The symphonies that ship with the daemon."""
