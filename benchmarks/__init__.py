"""Benchmarks: what fastbox costs, beside the floor under it and the peers, measured in the same run."""
