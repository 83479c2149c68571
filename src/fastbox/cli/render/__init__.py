"""How results look: tables, ages, sizes, templates. Nothing here asks the engine."""
