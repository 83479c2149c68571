# cython: language_level=3
"""libfastbox's error, and the exception that says it."""

from libc.stdint cimport int32_t, uint16_t

cdef extern from "error.h":
    struct fb_error:
        int32_t code
        uint16_t stage
        uint16_t line
        char call[32]
        char path[160]
        char detail[96]
    const char *fb_stage_name(int stage) nogil


cdef inline object native_error(fb_error *err):
    from fastbox._native import NativeError

    return NativeError(err.code, fb_stage_name(err.stage).decode(), err.call.decode("utf-8", "replace"),
                       err.path.decode("utf-8", "surrogateescape"), err.detail.decode("utf-8", "replace"))
