/* One layer (tar; plain, gzip or zstd) from a descriptor into a directory, in one pass, both digests computed on the way.
 *
 * The archive is hostile. Every path is resolved below `root_fd` by openat2; nothing outside it is read, written, created or removed,
 * whatever the names, links and types say. Every input has a bound (struct fb_extract_limits).
 */
#ifndef FB_TAR_EXTRACT_H
#define FB_TAR_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "stream.h"

struct fb_extract_limits { /* 0: the default */
	uint64_t max_bytes;   /* of file data written */
	uint64_t max_entries;
	uint64_t max_packed;  /* of input read */
};

enum fb_extract_mode {
	FB_EXTRACT_LAYER, /* .wh.X -> overlay whiteout, .wh..wh..opq -> trusted.overlay.opaque on the directory */
	FB_EXTRACT_PLAIN, /* names are names (import of a root tar, unpacking an archive) */
};

struct fb_extract_result {
	uint8_t packed_digest[32]; /* sha256 of the bytes read */
	uint8_t diff_digest[32];   /* sha256 of the uncompressed tar */
	uint64_t packed_size, tar_size, data_size, entries;
};

struct fb_extract_options {
	enum fb_extract_mode mode;
	struct fb_extract_limits limits;
	/* Into a tree that is somebody's, and changes meanwhile: other mounts are entered, a directory
	 * gives way to nothing else (EISDIR) and takes the place of nothing else (ENOTDIR). */
	bool merge;
	bool no_digests; /* nobody wants them: they stay zero */
	int copy;	 /* where the bytes of the archive are written, too; -1: nowhere */
	/* The trees of the layers below, topmost first: a directory that the archive needs but does not list gets mode,
	 * owner, extended attributes and times of theirs (without them 0755, root), so that stacking this layer on top changes
	 * nothing about it; the target of a hard link that only they have is copied up from them, and counts as data of this one. */
	const int *lower;
	size_t lower_count;
	int gate; /* readable when they are complete, and hung up when they never will be; -1: they are */
	struct fb_watch *watch;
};

int fb_extract(int archive_fd, int root_fd, const struct fb_extract_options *options, struct fb_extract_result *ret_result,
	       struct fb_error *err);

/* Remove `name` below `dirfd` and all in it, without following links, whatever the depth and modes. Missing is fine. */
int fb_remove_tree(int dirfd, const char *name, struct fb_error *err);

/* sha256 of what `fd` yields from its offset to its end; the number of bytes in *ret_size. */
int fb_digest_fd(int fd, uint8_t ret_digest[32], uint64_t *ret_size, struct fb_error *err);
/* Copy `in` to `out` to the end of `in`, hashing on the way; more than `max` bytes is EFBIG. */
int fb_copy_digest(int in, int out, uint64_t max, uint8_t ret_digest[32], uint64_t *ret_size, struct fb_error *err);

#endif
