# cython: language_level=3, binding=False, embedsignature=False
"""By Cython, as fastbox's own extensions are."""

from libc.stdint cimport uint8_t

cdef extern from "call.h":
    const char *bench_stage_name(int stage) nogil
    int bench_digest(const void *data, size_t length, uint8_t *ret_digest) nogil


def stage_name(int stage):
    """The name of a stage of a start."""
    return bench_stage_name(stage).decode()


def digest(bytes data):
    """The sha256 of `data`."""
    cdef uint8_t value[32]
    cdef const char *start = data
    cdef size_t length = len(data)
    cdef int r
    with nogil:
        r = bench_digest(start, length, value)
    if r < 0:
        raise OSError(-r, "digest")
    return value[:32]
