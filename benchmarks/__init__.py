"""Benchmarks: what fastbox costs, beside the floor and the peers, measured in the same run."""
