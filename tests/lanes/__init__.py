"""Lanes: the same tests on a machine that refuses something, and starts that fail at every call they make."""
