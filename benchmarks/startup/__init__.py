"""Start of one container: the floor in C and the suite of pytest-benchmark."""
