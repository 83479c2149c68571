"""One module a command: NAME, a table of options, execute()."""
