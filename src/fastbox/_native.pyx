# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of libfastbox: conversion only, the GIL released around every call that waits or works."""

from cpython.exc cimport PyErr_SetFromErrnoWithFilename
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stddef cimport size_t
from libc.errno cimport errno
from libc.stdlib cimport free, malloc

from fastbox._error cimport fb_error, native_error

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

cdef extern from "trash.h":
    int fb_trash_empty(int tmp, const char *id, fb_error *err) nogil

cdef extern from "inroot.h":
    int fb_inroot_open(int root, const char *path, int flags, bint plain) nogil

cdef extern from "view.h":
    int fb_view_layers(const char *const *layers, size_t count, fb_error *err) nogil


cdef extern from "sample.h":
    struct fb_sample:
        uint64_t cpu, memory, inactive, limit, block_read, block_written, received, sent, pids
    enum: FB_SAMPLE_GROUPS
    void fb_sample_take(const char *const *directories, size_t count, bint v2, int pid, fb_sample *ret_sample) nogil
cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "log_read.h":
    struct fb_log_record:
        int64_t when
        int stream
        bint ended
        const char *text
        size_t length
        const char *attrs
        size_t attrs_length
    struct fb_log_print:
        int64_t since
        int64_t until
        bint timestamps
        bint details
    struct fb_log_run:
        int stream
        size_t end
    size_t fb_log_read(int kind, const char *data, size_t length, char *to, fb_log_record *ret_record, c_bool *ret_found) nogil
    size_t fb_log_print_block "fb_log_print"(int kind, const char *data, size_t length, const fb_log_print *print, char *out,
                              size_t size, fb_log_run *runs, size_t max_runs, size_t *ret_runs, c_bool *ret_over) nogil

cdef extern from "<sys/inotify.h>" nogil:
    enum: IN_CLOEXEC, IN_NONBLOCK, IN_MODIFY, IN_CREATE, IN_MOVED_TO, IN_ONLYDIR
    int inotify_init1(int flags)
    int inotify_add_watch(int fd, const char *path, uint32_t mask)


class NativeError(OSError):
    """A failure in native code: errno, with `stage`, `call`, `path`, `detail` as libfastbox named them."""

    def __init__(self, code, stage, call, path, detail):
        import os
        super().__init__(code, detail or os.strerror(code).lower())
        self.stage, self.call, self.path, self.detail = stage, call, path, detail


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
        raise native_error(&err)
    return pid, (<bytes>name).decode()


def connect(run, name):
    """A conversation with a supervisor: its descriptor."""
    cdef bytes c_run = _path(run), c_name = _path(name)
    cdef fb_error err
    cdef int fd = fb_control_connect(c_run, c_name, &err)
    if fd < 0:
        raise native_error(&err)
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
        raise native_error(&err)


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
        raise native_error(&err)
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
        raise native_error(&err)
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
        raise native_error(&err)


def sample(directories, bint v2, int pid):
    """What a container uses: (cpu ns, memory, inactive, limit, block read, written, net received, sent, pids).

    The bytes of the limit are 2**64 - 1 without one."""
    cdef const char *paths[FB_SAMPLE_GROUPS]
    cdef size_t count = 0
    cdef fb_sample s
    held = [_path(directory) for directory in directories[:FB_SAMPLE_GROUPS]]
    for directory in held:
        paths[count] = <const char *>directory
        count += 1
    with nogil:
        fb_sample_take(paths, count, v2, pid, &s)
    return (s.cpu, s.memory, s.inactive, s.limit, s.block_read, s.block_written, s.received, s.sent, s.pids)


def empty_trash(int tmp, id):
    """Delete a removed container's files below tmp/, and the anonymous volumes that end with it; missing is fine."""
    cdef bytes c_id = _path(id)
    cdef const char *i = c_id
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_trash_empty(tmp, i, &err)
    if r < 0:
        raise native_error(&err)


def open_in_root(int root, path, int flags):
    """A descriptor of a path that is resolved as if `root` were "/": absolute names and links lead nowhere else. OSError."""
    cdef bytes c_path = _path(path)
    cdef const char *p = c_path
    cdef int fd
    with nogil:
        fd = fb_inroot_open(root, p, flags, False)
    if fd < 0:
        import os
        raise OSError(-fd, os.strerror(-fd), path)
    return fd


def view_layers(layers):
    """A descriptor of directories (bytes, topmost first, at least two) stacked by a read-only overlay that is attached nowhere."""
    cdef const char *paths[514]
    cdef size_t count = len(layers)
    cdef fb_error err
    cdef int r
    if count > 514:
        raise ValueError("too many layers")
    for i, path in enumerate(layers):
        paths[i] = <const char *>path
    with nogil:
        r = fb_view_layers(paths, count, &err)
    if r < 0:
        raise native_error(&err)
    return r


def log_print(int kind, bytes data, int64_t since, int64_t until, bint timestamps, bint details):
    """A block of a log as `docker logs` prints it: ([(stream, bytes)], how much is done with, whether `until` is past)."""
    cdef fb_log_run runs[1024]
    cdef fb_log_print wish
    cdef const char *block = data
    cdef size_t length = len(data), size = 6 * length + 4096, count, done, begin = 0
    cdef char *out = <char *>malloc(size)
    cdef c_bool over = False
    if out == NULL:
        raise MemoryError()
    wish.since, wish.until, wish.timestamps, wish.details = since, until, timestamps, details
    try:
        with nogil:
            done = fb_log_print_block(kind, block, length, &wish, out, size, runs, 1024, &count, &over)
        made = []
        for i in range(count):
            made.append((runs[i].stream, out[begin:runs[i].end]))
            begin = runs[i].end
        return made, done, bool(over)
    finally:
        free(out)


def log_records(int kind, bytes data, int64_t since, int64_t until):
    """A block of a log as ([(ns, stream, text, ended, attrs or None)], how much is done with, whether `until` is past)."""
    cdef const char *block = data
    cdef size_t length = len(data), done = 0, taken
    cdef char *to = <char *>malloc(length + 1)
    cdef fb_log_record record
    cdef c_bool found
    if to == NULL:
        raise MemoryError()
    made = []
    try:
        while done < length:
            taken = fb_log_read(kind, block + done, length - done, to, &record, &found)
            if taken == 0:
                break
            if found and record.when > until:
                return made, done, True
            if found and record.when >= since:
                made.append((record.when, record.stream, record.text[:record.length].decode("utf-8", "replace"), bool(record.ended),
                             record.attrs[:record.attrs_length] if record.attrs != NULL else None))
            done += taken
        return made, done, False
    finally:
        free(to)


def watch_directory(path):
    """A descriptor that is readable when a file of this directory has grown, or come by creation or rename."""
    cdef bytes c_path = _path(path)
    cdef int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
    if fd < 0 or inotify_add_watch(fd, c_path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0:
        import os
        code = errno
        if fd >= 0:
            os.close(fd)
        raise OSError(code, os.strerror(code), path)
    return fd


def exchange(one, other):
    """Let two paths of one file system change places, at once."""
    cdef bytes c_one = _path(one), c_other = _path(other)
    if c_renameat2(-100, c_one, -100, c_other, RENAME_EXCHANGE) < 0:
        PyErr_SetFromErrnoWithFilename(OSError, c_one)


cdef extern from "netns.h":
    int fb_netns_socket(int network_namespace, int family, int type, fb_error *err) nogil

cdef extern from "<sys/inotify.h>" nogil:
    enum: IN_DELETE, IN_MOVED_FROM
    int inotify_rm_watch(int fd, int wd)


def socket_inside(int network_namespace, int family, int type):
    """A socket of another network namespace: its descriptor."""
    cdef fb_error err
    cdef int fd
    with nogil:
        fd = fb_netns_socket(network_namespace, family, type, &err)
    if fd < 0:
        raise native_error(&err)
    return fd


def notices():
    """An inotify descriptor that watches nothing yet."""
    cdef int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
    if fd < 0:
        PyErr_SetFromErrnoWithFilename(OSError, b"inotify_init1")
    return fd


def notice_names(int fd, path):
    """Watch a directory for names that come and go: the number of the watch."""
    cdef bytes c_path = _path(path)
    cdef int watch = inotify_add_watch(fd, c_path, IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR)
    if watch < 0:
        PyErr_SetFromErrnoWithFilename(OSError, c_path)
    return watch


def notice_no_more(int fd, int watch):
    """Watch a directory no more; nothing when it is gone."""
    inotify_rm_watch(fd, watch)
