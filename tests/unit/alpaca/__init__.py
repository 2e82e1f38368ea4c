"""Tests of the venue adapter: its pure parts by their rules, its sockets against small scripted servers."""
