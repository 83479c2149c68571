"""What is true on disk. ARCHITECTURE.md has the layout; everything appears by one rename, complete
or not at all.
"""
