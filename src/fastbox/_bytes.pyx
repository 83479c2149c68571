# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of the part of libfastbox that moves bytes: layers and digests. Apart from `_native`, since its libraries
cost 5 ms to load and no start needs them.
"""

from cpython.exc cimport PyErr_SetFromErrno
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

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

cdef extern from "unistd.h":
    int c_syncfs "syncfs"(int fd) nogil

cdef extern from "tar_extract.h":
    enum: FB_LOWER_MAX "512"
    struct fb_extract_limits:
        uint64_t max_bytes
        uint64_t max_entries
        uint64_t max_packed
    struct fb_extract_result:
        uint8_t packed_digest[32]
        uint8_t diff_digest[32]
        uint64_t packed_size
        uint64_t tar_size
        uint64_t data_size
        uint64_t entries
    enum fb_extract_mode:
        FB_EXTRACT_LAYER
        FB_EXTRACT_PLAIN
    int fb_extract_over(int archive_fd, int root_fd, const int *lower, size_t lower_count, fb_extract_mode mode, const fb_extract_limits *limits, fb_extract_result *ret_result, fb_error *err) nogil
    int fb_digest_fd(int fd, uint8_t *ret_digest, uint64_t *ret_size, fb_error *err) nogil
    int fb_copy_digest(int infd, int outfd, uint64_t max, uint8_t *ret_digest, uint64_t *ret_size, fb_error *err) nogil


cdef object _error(fb_error *err):
    return NativeError(err.code, fb_stage_name(err.stage).decode(), err.call.decode("utf-8", "replace"),
                       err.path.decode("utf-8", "surrogateescape"), err.detail.decode("utf-8", "replace"))


def extract(int archive_fd, int root_fd, bint layer, lower=(), uint64_t max_entries=0):
    """Extract one archive below a root, over the trees in `lower` (descriptors, topmost first): returns (packed hex, diff hex,
    packed size, tar size, data size, entries).
    """
    cdef int lowers[FB_LOWER_MAX]
    cdef size_t count = len(lower)
    cdef fb_extract_limits limits
    cdef fb_extract_result result
    cdef fb_error err
    cdef fb_extract_mode mode = FB_EXTRACT_LAYER if layer else FB_EXTRACT_PLAIN
    cdef int r
    limits.max_bytes, limits.max_entries, limits.max_packed = 0, max_entries, 0
    if count > FB_LOWER_MAX:
        raise ValueError("too many layers")
    for i, number in enumerate(lower):
        lowers[i] = number
    with nogil:
        r = fb_extract_over(archive_fd, root_fd, lowers, count, mode, &limits, &result, &err)
    if r < 0:
        raise _error(&err)
    return ((<bytes>result.packed_digest[:32]).hex(), (<bytes>result.diff_digest[:32]).hex(),
            result.packed_size, result.tar_size, result.data_size, result.entries)


def digest_fd(int fd):
    """(sha256 hex, size) of what the descriptor yields from its offset on."""
    cdef uint8_t digest[32]
    cdef uint64_t size = 0
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_digest_fd(fd, digest, &size, &err)
    if r < 0:
        raise _error(&err)
    return (<bytes>digest[:32]).hex(), size


def copy_digest(int infd, int outfd, uint64_t limit):
    """Copy to the end of `infd`, hashing; (sha256 hex, size). OSError EFBIG beyond `limit` bytes."""
    cdef uint8_t digest[32]
    cdef uint64_t size = 0
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_copy_digest(infd, outfd, limit, digest, &size, &err)
    if r < 0:
        raise _error(&err)
    return (<bytes>digest[:32]).hex(), size


def sync_file_system(int fd):
    """Make all that was written to the descriptor's file system durable."""
    cdef int r
    with nogil:
        r = c_syncfs(fd)
    if r < 0:
        PyErr_SetFromErrno(OSError)


# Writing: trees and changesets into tars.

cdef extern from "pack.h":
    struct fb_pack:
        pass
    struct fb_pack_result:
        uint8_t diff_digest[32]
        uint8_t packed_digest[32]
        uint64_t size
        uint64_t packed_size
    enum fb_packing:
        FB_PACK_NONE
        FB_PACK_GZIP
        FB_PACK_ZSTD
    int fb_pack_open(int fd, fb_packing packing, unsigned threads, fb_pack **ret_pack, fb_error *err) nogil
    int fb_pack_end(fb_pack *pack, fb_pack_result *ret_result, fb_error *err) nogil
    void fb_pack_close(fb_pack *pack) nogil

cdef extern from "tar_write.h":
    struct fb_write_options:
        bint clamp
        int64_t max_mtime
        uint64_t max_entries
        bint layer
        bint user_marks
        const char *stub
    int fb_write_tree(int root, fb_pack *pack, const fb_write_options *options, uint64_t *ret_entries, fb_error *err) nogil
    int fb_write_changes(int upper, int merged, fb_pack *pack, const fb_write_options *options, uint64_t *ret_entries, fb_error *err) nogil

cdef extern from "view.h":
    int fb_view_layers(const char *const *layers, size_t count, fb_error *err) nogil
    int fb_view_process(int proc, fb_error *err) nogil

cdef fb_packing _packing(str name) except *:
    if name == "gzip":
        return FB_PACK_GZIP
    if name == "zstd":
        return FB_PACK_ZSTD
    if name:
        raise ValueError("unknown packing")
    return FB_PACK_NONE


cdef object _write(int root_fd, int merged_fd, int out_fd, bint changes, str packing, object max_mtime, uint64_t max_entries,
                   unsigned threads, bint layer, bytes stub):
    cdef fb_packing kind = _packing(packing)
    cdef fb_write_options options
    cdef fb_pack_result result
    cdef fb_pack *pack = NULL
    cdef uint64_t entries = 0
    cdef fb_error err
    cdef int r
    options.clamp = max_mtime is not None
    options.max_mtime = max_mtime if max_mtime is not None else 0
    options.max_entries, options.layer, options.user_marks = max_entries, layer, False
    options.stub = <const char *>stub if stub else NULL
    with nogil:
        r = fb_pack_open(out_fd, kind, threads, &pack, &err)
        if r == 0 and changes:
            r = fb_write_changes(root_fd, merged_fd, pack, &options, &entries, &err)
        elif r == 0:
            r = fb_write_tree(root_fd, pack, &options, &entries, &err)
        if r == 0:
            r = fb_pack_end(pack, &result, &err)
        fb_pack_close(pack)
    if r < 0:
        raise _error(&err)
    return ((<bytes>result.packed_digest[:32]).hex(), (<bytes>result.diff_digest[:32]).hex(), result.packed_size, result.size,
            entries)


def write_changes(int upper_fd, int out_fd, *, int merged_fd=-1, str packing="gzip", max_mtime=None, uint64_t max_entries=0,
                  unsigned threads=0):
    """Write an overlay's upper directory as a layer, packed as "gzip", "zstd" or not at all (""): returns (packed hex, diff
    hex, packed size, tar size, entries). No time of modification is later than `max_mtime` (seconds).
    """
    return _write(upper_fd, merged_fd, out_fd, True, packing, max_mtime, max_entries, threads, True, None)


def write_tree(int root_fd, int out_fd, *, str packing="", max_mtime=None, uint64_t max_entries=0, unsigned threads=0,
               bint layer=False, bytes stub=None):
    """Write all below a directory, as `write_changes` does; `stub` is a path that is left out when it is an empty file. With
    `layer`, a name that means a removal in a layer is an OSError (EINVAL).
    """
    return _write(root_fd, -1, out_fd, False, packing, max_mtime, max_entries, threads, layer, stub)


def view_layers(layers):
    """A descriptor of directories (bytes, topmost first, at least two) stacked by a read-only overlay that is attached nowhere."""
    cdef const char *paths[FB_LOWER_MAX + 2]
    cdef size_t count = len(layers)
    cdef fb_error err
    cdef int r
    if count > FB_LOWER_MAX + 2:
        raise ValueError("too many layers")
    for i, path in enumerate(layers):
        paths[i] = <const char *>path
    with nogil:
        r = fb_view_layers(paths, count, &err)
    if r < 0:
        raise _error(&err)
    return r


def view_process(int proc_fd):
    """A descriptor of the root of a process (its directory in /proc), without what is mounted below it."""
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_view_process(proc_fd, &err)
    if r < 0:
        raise _error(&err)
    return r
