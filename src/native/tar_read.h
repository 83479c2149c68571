/* A tar stream as a sequence of entries: ustar, v7, GNU (long names, sparse), pax (local and global
 * headers, sparse 0.0, 0.1, 1.0).
 *
 * Nothing here touches the file system. Every number is checked where it is read: what does not fit
 * is an error, never a wrapped or a clipped value. Codes: EBADMSG the archive is damaged, EFBIG or
 * ENAMETOOLONG a limit, EINVAL an impossible value, ENOTSUP a kind of entry that is not known.
 *
 * Where readers of tar disagree, this one sides with Go's archive/tar, which docker and containerd
 * use, so that a layer holds the same files here: types without content (links, directories, nodes)
 * have no data whatever their size field says.
 */
#ifndef FB_TAR_READ_H
#define FB_TAR_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "error.h"

#define FB_TAR_BLOCK 512
#define FB_TAR_META_MAX ((uint64_t)1 << 20) /* of a pax header, a long name, a sparse map */
#define FB_TAR_REAL_MAX ((uint64_t)1 << 62) /* apparent size of a file */
#define FB_TAR_SPARSE_MAX ((size_t)1 << 18) /* segments of a sparse file */
#define FB_TAR_XATTR_MAX 256		    /* of one entry */

enum fb_tar_type {
	FB_TAR_FILE = '0',
	FB_TAR_LINK = '1',
	FB_TAR_SYMLINK = '2',
	FB_TAR_CHAR = '3',
	FB_TAR_BLOCKDEV = '4',
	FB_TAR_DIRECTORY = '5',
	FB_TAR_FIFO = '6',
};

struct fb_tar_segment { /* of a sparse file: `length` bytes of the data belong at `offset` */
	uint64_t offset, length;
};

struct fb_tar_xattr {
	const char *name;
	const uint8_t *value;
	size_t length;
};

struct fb_tar_entry { /* pointers are valid until the next fb_tar_next */
	const char *name, *link;
	enum fb_tar_type type;
	mode_t mode; /* 07777 */
	uid_t uid;
	gid_t gid;
	unsigned major, minor;
	struct timespec mtime, atime; /* atime is mtime where the archive has none */
	uint64_t size;		      /* of the data that fb_tar_data yields */
	uint64_t real_size;	      /* of the file, holes included */
	bool sparse;
	const struct fb_tar_segment *segments;
	size_t segment_count;
	const struct fb_tar_xattr *xattrs;
	size_t xattr_count;
};

/* Where the bytes come from: the next piece, valid until the next call; 0 at the end, -errno with
 * err filled. */
typedef ssize_t (*fb_tar_pull)(void *context, const uint8_t **ret_data, struct fb_error *err);

struct fb_tar;

int fb_tar_open(fb_tar_pull pull, void *context, struct fb_tar **ret_tar, struct fb_error *err);
void fb_tar_close(struct fb_tar *tar);
/* 1 and the next entry, whatever of the last one's data was not read is skipped; 0 at the end
 * marker. */
int fb_tar_next(struct fb_tar *tar, const struct fb_tar_entry **ret_entry, struct fb_error *err);
/* The next piece of the entry's data, 0 at its end. */
ssize_t fb_tar_data(struct fb_tar *tar, const uint8_t **ret_data, struct fb_error *err);
/* After the end marker: read the rest of the stream, which belongs to its digest but is never an
 * entry. */
int fb_tar_drain(struct fb_tar *tar, struct fb_error *err);

/* `name` for an error or a log: every byte that is not printable ASCII, and the backslash, as \xNN;
 * cut from the left. */
#define FB_TAR_SAFE_SIZE 160
const char *fb_tar_safe_name(const char *name, char ret_text[FB_TAR_SAFE_SIZE]);

#endif
