# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of what a build does to many files at once: digests of a context, copies into a layer, times of a tree."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastbox._native import NativeError

cdef extern from "error.h":
    struct fb_error:
        int32_t code
        uint16_t stage
        uint16_t line
        char call[32]
        char path[160]
        char detail[96]
    const char *fb_stage_name(int stage) nogil


cdef object _error(fb_error *err):
    return NativeError(err.code, fb_stage_name(err.stage).decode(), err.call.decode("utf-8", "replace"),
                       err.path.decode("utf-8", "surrogateescape"), err.detail.decode("utf-8", "replace"))


cdef bytes _path(object path):
    cdef bytes raw = path
    if raw is None or b"\0" in raw:
        raise ValueError("a path holds a NUL, or is none")
    return raw


cdef void *_array(size_t count, size_t size) except NULL:
    cdef void *array = calloc(count + 1, size)
    if array is NULL:
        raise MemoryError
    return array


cdef extern from "file_digest.h":
    struct fb_file_digest:
        uint8_t digest[32]
        uint64_t size
        int64_t mtime_ns
        int64_t ctime_ns
    int fb_digest_files(int root, const char *const *paths, size_t count, unsigned threads, fb_file_digest *digests, fb_error *err) nogil


def digest_files(int root_fd, paths, *, unsigned threads=0):
    """(SHA-256, size, mtime and ctime in nanoseconds) of each path, a regular file below a root, in the order of the paths. OSError ELOOP:
    a link; EINVAL: something else; ESTALE: a file that changes whenever it is read. `threads` 0: as many as there are processors.
    """
    cdef list held = [_path(path) for path in paths]  # what the array points into
    cdef size_t count = len(held), i
    cdef const char **names = NULL
    cdef fb_file_digest *digests = NULL
    cdef fb_error err
    cdef int r
    try:
        names = <const char **>_array(count, sizeof(char *))
        digests = <fb_file_digest *>_array(count, sizeof(fb_file_digest))
        for i in range(count):
            names[i] = <bytes>held[i]
        with nogil:
            r = fb_digest_files(root_fd, names, count, threads, digests, &err)
        if r < 0:
            raise _error(&err)
        return [(<bytes>digests[i].digest[:32], digests[i].size, digests[i].mtime_ns, digests[i].ctime_ns) for i in range(count)]
    finally:
        free(names)
        free(digests)


cdef extern from "file_copy.h":
    struct fb_copy_entry:
        const char *source
        const char *target
        uint32_t kind
        int32_t mode
        int64_t uid
        int64_t gid
        int64_t ctime_ns
    struct fb_copied:
        uint64_t entries
        uint64_t bytes
    int fb_copy_entries(int source, int target, const fb_copy_entry *entries, size_t count, unsigned threads, fb_copied *ret_copied, fb_error *err) nogil


def copy_entries(int source_root, int target_root, entries, *, unsigned threads=0):
    """Copy files of one tree into another that nobody else writes to, as file_copy.h says: how many are there now, and the bytes of the
    regular ones. An entry is (source, target, kind as in S_IFMT, mode, uid, gid, ctime_ns): -1 for what is as the source's, ctime 0 for any.
    """
    cdef list held = []  # what the array points into
    cdef list items = list(entries)
    cdef size_t count = len(items), i
    cdef fb_copy_entry *array = NULL
    cdef fb_copied copied
    cdef fb_error err
    cdef bytes source, target
    cdef int r
    try:
        array = <fb_copy_entry *>_array(count, sizeof(fb_copy_entry))
        for i in range(count):
            first, second, array[i].kind, array[i].mode, array[i].uid, array[i].gid, array[i].ctime_ns = items[i]
            source, target = _path(first), _path(second)
            held.append((source, target))
            array[i].source, array[i].target = source, target
        with nogil:
            r = fb_copy_entries(source_root, target_root, array, count, threads, &copied, &err)
        if r < 0:
            raise _error(&err)
        return copied.entries, copied.bytes
    finally:
        free(array)


cdef extern from "clamp_times.h":
    int fb_clamp_times(int root, int64_t seconds, uint64_t *ret_count, fb_error *err) nogil


def clamp_times(int root_fd, int64_t seconds):
    """Give all of a tree, its root too, that was modified later than `seconds` since 1970 exactly this time; how many that were."""
    cdef uint64_t count = 0
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_clamp_times(root_fd, seconds, &count, &err)
    if r < 0:
        raise _error(&err)
    return count


cdef extern from "stubs.h":
    int fb_remove_stub(int root, const char *path, uint32_t kind, fb_error *err) nogil


def remove_stubs(int root_fd, paths):
    """Remove (path, S_IFDIR or S_IFREG) each, the deepest first, where it is still an empty directory or an empty file; how many were."""
    cdef bytes path
    cdef const char *name
    cdef uint32_t kind
    cdef fb_error err
    cdef int r, count = 0
    for first, kind in sorted(paths, key=lambda item: item[0].count(b"/"), reverse=True):
        path = _path(first)
        name = path
        with nogil:
            r = fb_remove_stub(root_fd, name, kind, &err)
        if r < 0:
            raise _error(&err)
        count += r
    return count
