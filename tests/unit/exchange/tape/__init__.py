"""Tests of the market behind the exchange: bar files, paths inside a day, the synthetic market, the tape."""
