"""By ctypes, which needs no compiler: the library is beside this file when it is built."""

from __future__ import annotations

import ctypes
import os

_library = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libbench_call.so"))
_stage_name = _library.bench_stage_name
_stage_name.restype, _stage_name.argtypes = ctypes.c_char_p, (ctypes.c_int,)
_digest = _library.bench_digest
_digest.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p)
_Value = ctypes.c_char * 32


def stage_name(stage: int) -> str:
    """The name of a stage of a start."""
    name: bytes = _stage_name(stage)
    return name.decode()


def digest(data: bytes) -> bytes:
    """The sha256 of `data`."""
    value = _Value()
    failed = _digest(data, len(data), value)
    if failed < 0:
        raise OSError(-failed, "digest")
    return value.raw
