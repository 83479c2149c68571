"""The store as a whole: how much disk it takes, and whether it is sound."""
