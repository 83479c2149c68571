# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of what a build does to many files at once: digests of a context, copies into a layer, times of a tree."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastbox._error cimport fb_error, native_error


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
            raise native_error(&err)
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
            raise native_error(&err)
        return copied.entries, copied.bytes
    finally:
        free(array)


cdef extern from "sys/stat.h":
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    struct stat:
        uint64_t st_dev
        uint64_t st_ino
        unsigned st_mode
        unsigned st_uid
        unsigned st_gid
        int64_t st_size
        uint64_t st_rdev
        timespec st_mtim
        timespec st_ctim

cdef extern from "list_tree.h":
    struct fb_listed:
        stat st
        size_t path
        size_t link
    struct fb_listing:
        fb_listed *entries
        size_t *order
        size_t ordered
        char *text
    int fb_list_tree(int root, const char *path, bint deep, size_t most, fb_listing *listing, fb_error *err) nogil
    void fb_listing_free(fb_listing *listing) nogil


cdef extern from "Python.h":
    str PyUnicode_DecodeFSDefault(const char *text)
    bytes PyUnicode_EncodeFSDefault(str text)


cdef class Found:
    """One entry of a tree, as one stat of it told; of this kind since there are tens of thousands.

    Attributes: `path` relative to the root, without a slash in front, "" for the root; `kind`, its type (`stat.S_IFREG` and so on); `mode`,
    its permissions with the set-id and sticky bits; `uid`, `gid`; `size` in bytes, of a device its number; `mtime_ns` and `ctime_ns`, when
    its content, and anything about it, was changed last; `link`, what a symbolic link says, else ""; `stamp`, 40 bytes of device, inode,
    size and times: what must be the same for the content to be the same.
    """
    cdef readonly str path, link
    cdef readonly unsigned kind, mode, uid, gid
    cdef readonly int64_t size, mtime_ns, ctime_ns
    cdef uint64_t dev, ino

    def __init__(self, str path, unsigned mode, unsigned uid, unsigned gid, int64_t size, int64_t mtime_ns, int64_t ctime_ns, str link,
                 uint64_t dev, uint64_t ino):
        """`mode` is st_mode, with the type."""
        self.dev, self.ino = dev, ino
        self.path, self.link = path, link
        self.kind, self.mode, self.uid, self.gid = mode & 0o170000, mode & 0o7777, uid, gid
        self.size, self.mtime_ns, self.ctime_ns = size, mtime_ns, ctime_ns

    @property
    def stamp(self):
        return _stamp(self)

    def __repr__(self):
        return f"Found({self.path!r}, {self.kind | self.mode:o})"


cdef bytes _stamp(Found found):
    cdef uint64_t values[5]
    values[0], values[1], values[2] = found.dev, found.ino, <uint64_t>found.size
    values[3], values[4] = <uint64_t>found.mtime_ns, <uint64_t>found.ctime_ns
    return (<char *>values)[:sizeof(values)]


cdef Found _found(str path, str link, const stat *st):
    cdef Found found = Found.__new__(Found)
    found.path, found.link, found.dev, found.ino = path, link, st.st_dev, st.st_ino
    found.kind, found.mode, found.uid, found.gid = st.st_mode & 0o170000, st.st_mode & 0o7777, st.st_uid, st.st_gid
    found.size = <int64_t>st.st_rdev if found.kind in (0o020000, 0o060000) else st.st_size
    found.mtime_ns = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
    found.ctime_ns = st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec
    return found


def list_tree(int root_fd, bytes path, *, bint deep, size_t most):
    """What is in a directory below a root, b"" for itself, or (`deep`) all below it: `Found` of paths below the root, names by their bytes,
    each directory before what is in it. No sockets; nothing of a directory that is not there. OSError E2BIG: there is more than `most`.
    """
    cdef fb_listing listing
    cdef fb_listed *each
    cdef fb_error err
    cdef const char *start
    cdef str link
    cdef size_t i
    cdef int r
    path = _path(path)
    start = path
    with nogil:
        r = fb_list_tree(root_fd, start, deep, most, &listing, &err)
    try:
        if r < 0:
            raise native_error(&err)
        found = []
        for i in range(listing.ordered):
            each = &listing.entries[listing.order[i]]
            link = PyUnicode_DecodeFSDefault(listing.text + each.link) if each.st.st_mode & 0o170000 == 0o120000 else ""
            found.append(_found(PyUnicode_DecodeFSDefault(listing.text + each.path), link, &each.st))
        return found
    finally:
        fb_listing_free(&listing)


def known_digests(files, dict by_stamp, list seen):
    """What is known of files (`Found`) by their stamps: {path: (SHA-256, size, mtime_ns, ctime_ns)}; those files are appended to `seen`."""
    cdef dict known = {}
    cdef Found found
    for found in files:
        digest = by_stamp.get(_stamp(found))
        if digest is not None:
            known[found.path] = (digest, found.size, found.mtime_ns, found.ctime_ns)
            seen.append(found)
    return known


def content_pieces(entries, dict contents, *, bint owners, capability):
    """What the content of (source, target, Found) each comes to, as pieces to hash: target, NUL, "TYPE MODE UID GID" in octal and
    decimal, NUL, and then of a file its SHA-256 out of `contents` and, when anybody may execute it, capability(Found), else "0" NUL; of a link its
    text, NUL, its mode being 0; of a device its number, NUL. `owners`: else all are root's.
    """
    cdef list pieces = []
    cdef dict heads = {}  # as files mostly have the same few
    cdef Found found
    cdef unsigned mode, uid, gid
    cdef str target
    for _, target, found in entries:
        mode = found.mode
        uid, gid = found.uid, found.gid
        if not owners:
            uid = gid = 0
        if found.kind == 0o100000:
            more = contents[found.path][0]
            more += capability(found) if mode & 0o111 else b"0\0"
        elif found.kind == 0o120000:
            mode = 0
            more = PyUnicode_EncodeFSDefault(found.link) + b"\0"
        else:
            more = b"%d\0" % found.size if found.kind in (0o020000, 0o060000) else b""
        what = (found.kind, mode, uid, gid)
        head = heads.get(what)
        if head is None:
            head = heads[what] = b"\0%o %o %d %d\0" % what
        pieces.append(PyUnicode_EncodeFSDefault(target))
        pieces.append(head)
        pieces.append(more)
    return pieces


cdef extern from "settle_tree.h":
    int fb_settle_tree(int root, const int64_t *max_mtime, uint64_t *ret_size, fb_error *err) nogil


def settle_tree(int root_fd, max_mtime):
    """Make an overlay's upper directory what the archive of its layer says: no marks of overlayfs, no sockets, nothing modified later
    than `max_mtime` (seconds, or None); the bytes of its files.
    """
    cdef int64_t seconds = 0 if max_mtime is None else max_mtime
    cdef const int64_t *wanted = NULL if max_mtime is None else &seconds
    cdef uint64_t size = 0
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_settle_tree(root_fd, wanted, &size, &err)
    if r < 0:
        raise native_error(&err)
    return size


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
            raise native_error(&err)
        count += r
    return count
