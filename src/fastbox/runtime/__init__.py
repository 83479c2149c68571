"""What is true in the kernel: the OCI bundle, supervisors, live state."""
