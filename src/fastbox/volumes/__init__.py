"""Volumes: directories of the store that outlive containers."""
