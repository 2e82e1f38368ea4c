"""Bugs put into the daemon on purpose, by what they spoil; ``planted`` lists them with the rules that have to find each."""
