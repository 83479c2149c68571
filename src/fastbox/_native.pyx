# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of libfastbox: conversion only, the GIL released around every call that waits or works."""

from cpython.exc cimport PyErr_SetFromErrnoWithFilename
from libc.stdint cimport int32_t, uint16_t
from libc.stddef cimport size_t

cdef extern from "error.h":
    struct fb_error:
        int32_t code
        uint16_t stage
        uint16_t line
        char call[32]
        char path[160]
        char detail[96]
    const char *fb_stage_name(int stage) nogil

cdef extern from "control.h":
    enum: FB_CONTROL_MAX_MESSAGE
    enum: FB_CONTROL_MAX_FDS
    int fb_control_spawn(const char *program, const char *run, bint tied, char *ret_name, size_t name_size, fb_error *err) nogil
    int fb_control_connect(const char *run, const char *name, fb_error *err) nogil
    int fb_control_send(int fd, const void *data, size_t length, const int *fds, size_t fd_count, fb_error *err) nogil
    int fb_control_receive(int fd, void *buffer, size_t size, int timeout_ms, fb_error *err) nogil
    int fb_control_alive(const char *run, const char *name) nogil
    struct fb_attach:
        int control
        int stdin_to
        int stdout_from
        int stderr_from
        bint terminal
        bint signals
        const char *id
        const char *exec "exec"
        const unsigned char *detach_keys
        size_t detach_count
    int fb_control_attach(const fb_attach *attach, char *ret_event, size_t size, fb_error *err) nogil

cdef extern from "stdio.h":
    enum: RENAME_EXCHANGE
    int c_renameat2 "renameat2"(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned flags) nogil

cdef extern from "tar_extract.h":
    int fb_remove_tree(int dirfd, const char *name, fb_error *err) nogil


class NativeError(OSError):
    """A failure in native code: errno, with `stage`, `call`, `path`, `detail` as libfastbox named them."""

    def __init__(self, code, stage, call, path, detail):
        import os
        super().__init__(code, detail or os.strerror(code).lower())
        self.stage, self.call, self.path, self.detail = stage, call, path, detail


cdef object _error(fb_error *err):
    return NativeError(err.code, fb_stage_name(err.stage).decode(), err.call.decode("utf-8", "replace"),
                       err.path.decode("utf-8", "surrogateescape"), err.detail.decode("utf-8", "replace"))


cdef bytes _path(object text):
    cdef bytes raw = text if isinstance(text, bytes) else (<str?>text).encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a path holds a NUL")
    return raw


def spawn_supervisor(program, run, bint tied):
    """Start a supervisor; returns (pid, name)."""
    cdef bytes c_program = _path(program), c_run = _path(run)
    cdef const char *p = c_program
    cdef const char *r = c_run
    cdef char name[128]
    cdef fb_error err
    cdef int pid
    with nogil:
        pid = fb_control_spawn(p, r, tied, name, sizeof(name), &err)
    if pid < 0:
        raise _error(&err)
    return pid, (<bytes>name).decode()


def connect(run, name):
    """A conversation with a supervisor: its descriptor."""
    cdef bytes c_run = _path(run), c_name = _path(name)
    cdef fb_error err
    cdef int fd = fb_control_connect(c_run, c_name, &err)
    if fd < 0:
        raise _error(&err)
    return fd


def send(int fd, bytes message, fds=()):
    """Send one message with descriptors."""
    cdef int numbers[FB_CONTROL_MAX_FDS]
    cdef size_t count = len(fds)
    cdef const char *data = message
    cdef size_t length = len(message)
    cdef fb_error err
    cdef int r
    if count > FB_CONTROL_MAX_FDS:
        raise ValueError("too many descriptors")
    for i, number in enumerate(fds):
        numbers[i] = number
    with nogil:
        r = fb_control_send(fd, data, length, numbers, count, &err)
    if r < 0:
        raise _error(&err)


def receive(int fd, int timeout_ms=-1):
    """One message, b"" at the end of the conversation; TimeoutError after `timeout_ms`."""
    cdef char buffer[FB_CONTROL_MAX_MESSAGE]
    cdef char *to = buffer
    cdef fb_error err
    cdef int n
    with nogil:
        n = fb_control_receive(fd, to, FB_CONTROL_MAX_MESSAGE, timeout_ms, &err)
    if n == -110:
        raise TimeoutError("no message in time")
    if n < 0:
        raise _error(&err)
    return buffer[:n]


def alive(run, name):
    """Whether the supervisor `name` lives."""
    cdef bytes c_run = _path(run), c_name = _path(name)
    return fb_control_alive(c_run, c_name) > 0


def attach(int control, int stdin_to, int stdout_from, int stderr_from, bint terminal, bint signals, id, exec_id, bytes detach_keys):
    """Carry bytes until the event; returns (end, event): end 1 event, 2 detached, 3 supervisor lost."""
    cdef bytes c_id = _path(id)
    cdef bytes c_exec = _path(exec_id) if exec_id is not None else b""
    cdef fb_attach a
    cdef char event[4096]
    cdef fb_error err
    cdef int r
    a.control, a.stdin_to, a.stdout_from, a.stderr_from = control, stdin_to, stdout_from, stderr_from
    a.terminal, a.signals = terminal, signals
    a.id = c_id
    a.exec = <const char *>c_exec if exec_id is not None else NULL
    a.detach_keys = <const unsigned char *><const char *>detach_keys
    a.detach_count = len(detach_keys)
    event[0] = 0
    with nogil:
        r = fb_control_attach(&a, event, sizeof(event), &err)
    if r < 0:
        raise _error(&err)
    return r, <bytes>event


def remove_tree(int dirfd, name):
    """Remove `name` below `dirfd` and all in it; missing is fine."""
    cdef bytes c_name = _path(name)
    cdef const char *n = c_name
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_remove_tree(dirfd, n, &err)
    if r < 0:
        raise _error(&err)


def exchange(one, other):
    """Let two paths of one file system change places, at once."""
    cdef bytes c_one = _path(one), c_other = _path(other)
    if c_renameat2(-100, c_one, -100, c_other, RENAME_EXCHANGE) < 0:
        PyErr_SetFromErrnoWithFilename(OSError, c_one)
