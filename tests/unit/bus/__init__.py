"""The bus, rule by rule."""
