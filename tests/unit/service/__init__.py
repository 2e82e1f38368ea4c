"""Tests of the service room, module by module."""
