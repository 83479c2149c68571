"""Two of libfastbox's functions bound four ways; built by `make bench-bindings`, in no wheel."""
