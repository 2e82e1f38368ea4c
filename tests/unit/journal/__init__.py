"""The journal, rule by rule."""
