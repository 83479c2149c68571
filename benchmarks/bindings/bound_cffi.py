"""By cffi in API mode: `python -m benchmarks.bindings.bound_cffi OUT.c` writes the extension."""

from __future__ import annotations

import sys

MODULE = "_bound_cffi"

if __name__ == "__main__":
    import cffi  # type: ignore[import-untyped]

    builder = cffi.FFI()
    builder.cdef(
        "const char *bench_stage_name(int stage);"
        "int bench_digest(const void *data, size_t length, uint8_t *ret_digest);"
    )
    builder.set_source(MODULE, '#include "call.h"')
    builder.emit_c_code(sys.argv[1])
else:
    from _bound_cffi import ffi, lib  # type: ignore[import-not-found]

    def stage_name(stage: int) -> str:
        """The name of a stage of a start."""
        name: bytes = ffi.string(lib.bench_stage_name(stage))
        return name.decode()

    def digest(data: bytes) -> bytes:
        """The sha256 of `data`."""
        value = ffi.new("uint8_t[32]")
        failed = lib.bench_digest(data, len(data), value)
        if failed < 0:
            raise OSError(-failed, "digest")
        return bytes(ffi.buffer(value))
