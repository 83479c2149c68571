"""The command line: one file a command, rendering apart. It sees the engine only by its public
face.
"""
