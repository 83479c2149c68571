"""What the benchmarks compute, without measuring anything."""
