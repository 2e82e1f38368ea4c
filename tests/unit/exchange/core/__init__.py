"""Tests of the exchange's pure core: rules, account, matching, engine."""
