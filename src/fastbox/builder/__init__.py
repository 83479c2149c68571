"""Builds: a Dockerfile's graph, its cache, and the steps that make layers."""
