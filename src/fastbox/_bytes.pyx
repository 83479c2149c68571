# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of the part of libfastbox that moves bytes: layers and digests. Apart from `_native`, since its libraries
cost 2 ms to load and no start needs them.
"""

from cpython.exc cimport PyErr_SetFromErrno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastbox._error cimport fb_error, native_error
from fastbox._native import view_layers

cdef extern from "unistd.h":
    int c_syncfs "syncfs"(int fd) nogil

cdef extern from *:
    """
    #include "stream.h"
    static uint64_t watch_packed(struct fb_watch *watch) { return watch->packed; }
    static uint64_t watch_unpacked(struct fb_watch *watch) { return watch->unpacked; }
    static void watch_stop(struct fb_watch *watch) { watch->stop = 1; }
    """
    struct fb_watch:
        pass
    uint64_t watch_packed(fb_watch *watch)
    uint64_t watch_unpacked(fb_watch *watch)
    void watch_stop(fb_watch *watch)

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
    struct fb_extract_options:
        fb_extract_mode mode
        fb_extract_limits limits
        bint merge
        bint no_digests
        int copy
        const int *lower
        size_t lower_count
        int gate
        fb_watch *watch
    int fb_extract(int archive_fd, int root_fd, const fb_extract_options *options, fb_extract_result *ret_result, fb_error *err) nogil
    int fb_digest_fd(int fd, uint8_t *ret_digest, uint64_t *ret_size, fb_error *err) nogil
    int fb_copy_digest(int infd, int outfd, uint64_t max, uint8_t *ret_digest, uint64_t *ret_size, fb_error *err) nogil


cdef class Watch:
    """What another thread may see of an extraction, and say to it."""

    cdef fb_watch watch

    @property
    def packed(self):
        """Bytes of the archive that were read."""
        return watch_packed(&self.watch)

    @property
    def unpacked(self):
        """Bytes that came out of them."""
        return watch_unpacked(&self.watch)

    def stop(self):
        """End it as soon as possible, by ECANCELED."""
        watch_stop(&self.watch)


def extract(int archive_fd, int root_fd, bint layer, *, lower=(), int gate=-1, Watch watch=None, bint digests=True,
            int copy=-1, uint64_t max_entries=0, bint merge=False):
    """Extract one archive below a root, over the trees in `lower` (descriptors, topmost first), which are complete when `gate`
    is readable, the archive's bytes going to `copy` as well, or (`merge`) into a tree that is somebody's: returns (packed hex, diff hex, packed size, tar size, data size, entries).
    """
    cdef int lowers[FB_LOWER_MAX]
    cdef fb_extract_options options
    cdef fb_extract_result result
    cdef fb_error err
    cdef int r
    if len(lower) > FB_LOWER_MAX:
        raise ValueError("too many layers")
    for i, number in enumerate(lower):
        lowers[i] = number
    options.mode = FB_EXTRACT_LAYER if layer else FB_EXTRACT_PLAIN
    options.limits.max_bytes, options.limits.max_entries, options.limits.max_packed = 0, max_entries, 0
    options.merge, options.no_digests, options.copy = merge, not digests, copy
    options.lower, options.lower_count, options.gate = lowers, len(lower), gate
    options.watch = NULL if watch is None else &watch.watch
    with nogil:
        r = fb_extract(archive_fd, root_fd, &options, &result, &err)
    if r < 0:
        raise native_error(&err)
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
        raise native_error(&err)
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
        raise native_error(&err)
    return (<bytes>digest[:32]).hex(), size


def sync_file_system(int fd):
    """Make all that was written to the descriptor's file system durable."""
    cdef int r
    with nogil:
        r = c_syncfs(fd)
    if r < 0:
        PyErr_SetFromErrno(OSError)


cdef extern from "unpack.h":
    struct fb_unpack_result:
        uint8_t packed_digest[32]
        uint8_t digest[32]
        uint64_t size
    int fb_unpack(int infd, int outfd, fb_unpack_result *ret_result, fb_error *err) nogil


def unpack(int infd, int outfd):
    """Write a packed stream (plain, gzip, zstd) out unpacked; `outfd` -1 only measures: (sha256 hex of what was read, of what was
    written, size of what was written).
    """
    cdef fb_unpack_result result
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_unpack(infd, outfd, &result, &err)
    if r < 0:
        raise native_error(&err)
    return (<bytes>result.packed_digest[:32]).hex(), (<bytes>result.digest[:32]).hex(), result.size


cdef extern from "disk_usage.h":
    struct fb_disk_usage:
        pass
    struct fb_disk_usage_sum:
        uint64_t bytes
        uint64_t entries
    int fb_disk_usage_open(fb_disk_usage **ret_usage, fb_error *err) nogil
    int fb_disk_usage_add(fb_disk_usage *usage, int dirfd, const char *name, fb_disk_usage_sum *ret_sum, fb_error *err) nogil
    void fb_disk_usage_close(fb_disk_usage *usage) nogil


cdef class DiskUsage:
    """How much of the disk trees take, as du counts; a file with several names counts once for one of these."""
    cdef fb_disk_usage *usage

    def __cinit__(self):
        cdef fb_error err
        if fb_disk_usage_open(&self.usage, &err) < 0:
            raise native_error(&err)

    def __dealloc__(self):
        fb_disk_usage_close(self.usage)

    def add(self, int dirfd, name):
        """Bytes on disk of one name in a directory ("." for the directory itself) and all below it; 0 when it is missing."""
        cdef bytes text = name.encode("utf-8", "surrogateescape")
        cdef const char *n = text
        cdef fb_disk_usage_sum total
        cdef fb_error err
        cdef int r
        with nogil:
            r = fb_disk_usage_add(self.usage, dirfd, n, &total, &err)
        if r < 0:
            raise native_error(&err)
        return total.bytes


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
        bint cross
        const char *stub
    int fb_write_tree(int root, fb_pack *pack, const fb_write_options *options, uint64_t *ret_entries, fb_error *err) nogil
    int fb_write_item(int held, const char *name, fb_pack *pack, const fb_write_options *options, uint64_t *ret_entries, fb_error *err) nogil
    int fb_write_changes(int upper, int merged, fb_pack *pack, const fb_write_options *options, uint64_t *ret_entries, fb_error *err) nogil

cdef extern from "view.h":
    int fb_view_process(int proc, bint below, fb_error *err) nogil
    struct fb_view_bind:
        const char *source
        const char *target
        bint read_only
    struct fb_view_mount:
        const char *const *lower
        size_t lower_count
        const char *upper
        const char *work
        bint read_only
        const fb_view_bind *binds
        size_t bind_count
    int fb_view_mounted(const fb_view_mount *view, fb_error *err) nogil

cdef fb_packing _packing(str name) except *:
    if name == "gzip":
        return FB_PACK_GZIP
    if name == "zstd":
        return FB_PACK_ZSTD
    if name:
        raise ValueError("unknown packing")
    return FB_PACK_NONE


cdef object _write(int root_fd, int merged_fd, int out_fd, bint changes, str packing, object max_mtime, uint64_t max_entries,
                   unsigned threads, bint layer, bytes stub, bytes name=None):
    cdef const char *item = <const char *>name if name is not None else NULL
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
    options.stub, options.cross = <const char *>stub if stub else NULL, item is not NULL
    with nogil:
        r = fb_pack_open(out_fd, kind, threads, &pack, &err)
        if r == 0 and changes:
            r = fb_write_changes(root_fd, merged_fd, pack, &options, &entries, &err)
        elif r == 0 and item:
            r = fb_write_item(root_fd, item, pack, &options, &entries, &err)
        elif r == 0:
            r = fb_write_tree(root_fd, pack, &options, &entries, &err)
        if r == 0:
            r = fb_pack_end(pack, &result, &err)
        fb_pack_close(pack)
    if r < 0:
        raise native_error(&err)
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


def write_item(int held, bytes name, int out_fd):
    """Write what is held and all below it as a plain tar, under a name, other mounts too, as `write_tree` returns it."""
    return _write(held, -1, out_fd, False, "", None, 0, 0, False, None, name)


def view_process(int proc_fd, *, bint below=False):
    """A descriptor of the root of a process (its directory in /proc), with what is mounted below it or without."""
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_view_process(proc_fd, below, &err)
    if r < 0:
        raise native_error(&err)
    return r


def view_mounted(lower, *, bytes upper=None, bytes work=None, bint read_only=False, binds=()):
    """A descriptor of directories (bytes, topmost first) stacked as a container's start does it, with an upper, and with binds:
    (source, target, whether read-only). It is attached nowhere, and ends with the descriptor.
    """
    cdef const char *paths[FB_LOWER_MAX + 2]
    cdef fb_view_bind mounts[256]
    cdef fb_view_mount view
    cdef fb_error err
    cdef int r
    if len(lower) > FB_LOWER_MAX + 2 or len(binds) > 256:
        raise ValueError("too many layers or binds")
    for i, path in enumerate(lower):
        paths[i] = <const char *>path
    for i, (source, target, fixed) in enumerate(binds):
        mounts[i].source, mounts[i].target, mounts[i].read_only = <const char *>source, <const char *>target, fixed
    view.lower, view.lower_count = paths, len(lower)
    view.upper = <const char *>upper if upper is not None else NULL
    view.work = <const char *>work if work is not None else NULL
    view.read_only, view.binds, view.bind_count = read_only, mounts, len(binds)
    with nogil:
        r = fb_view_mounted(&view, &err)
    if r < 0:
        raise native_error(&err)
    return r


cdef extern from "copy_data.h":
    int fb_copy_data(int source, int target, uint64_t *ret_size, fb_error *err) nogil


def copy_data(int source, int target):
    """Make an empty file hold what another holds, holes and shared blocks kept where the file systems can; its size."""
    cdef uint64_t size = 0
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_copy_data(source, target, &size, &err)
    if r < 0:
        raise native_error(&err)
    return size


cdef extern from "copy_tree.h":
    struct fb_copy_options:
        bint own
        unsigned uid
        unsigned gid
        bint xattrs
    struct fb_copy_result:
        uint64_t entries
        uint64_t size
    int fb_copy_tree(int source, int dirfd, const char *name, const fb_copy_options *options, fb_copy_result *ret_result, fb_error *err) nogil


def copy_tree(int source, int dirfd, bytes name, *, owner=None, bint xattrs=False):
    """Copy what is held to a name in a directory ("." for a directory's content to the directory itself): (entries, size of the
    tar that it would be). All belongs to `owner` (uid, gid), or to whom it did; `xattrs`: also what is no capability.
    """
    cdef const char *n = name
    cdef fb_copy_options options
    cdef fb_copy_result result
    cdef fb_error err
    cdef int r
    options.own, options.xattrs = owner is not None, xattrs
    options.uid, options.gid = owner if owner is not None else (0, 0)
    with nogil:
        r = fb_copy_tree(source, dirfd, n, &options, &result, &err)
    if r < 0:
        raise native_error(&err)
    return result.entries, result.size
