"""Small tools without policy: records, JSON, ids, clocks, paths. Standard library only, and of
that only what is cheap.
"""
