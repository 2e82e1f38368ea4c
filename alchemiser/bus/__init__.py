"""Typed events from one publisher to many handlers, in order, each handler on its own feet."""
