"""Containers: options to records, states, and what is done to them."""
