/* A directory tree as a tar, in one walk: a container's changes as a layer, or a whole tree.
 *
 * Equal trees give equal bytes on any file system: names come in bytewise order at every level, the
 * first name of a file is the file and later ones are links to it, extended attributes are sorted,
 * and nothing of the host (its users' names, inode numbers, when files were read) is in it.
 *
 * Whoever owns the tree may change it meanwhile. The walk goes by descriptors, follows no link and
 * enters no other mount (one is written as what it is mounted on: an empty directory or file). A
 * file that gets shorter is filled up with zeros, one that gets longer is cut at the size it had,
 * what vanishes is left out, so that the archive is well-formed whatever happens. Sockets are left
 * out; the root directory itself has no entry, as in docker's layers.
 *
 * Extended attributes that are written: security.capability, user.*, POSIX ACLs; nothing of
 * overlayfs's own. Holes of 64 KiB and more are kept (sparse format 1.0).
 */
#ifndef FB_TAR_WRITE_H
#define FB_TAR_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"

struct fb_write_options {
	bool clamp; /* no time of modification is later than max_mtime, in seconds */
	int64_t max_mtime;
	uint64_t max_entries; /* 0: what extraction takes by default */
	/* Of a tree: it becomes a layer, where a name that begins with ".wh." would remove another:
	 * EINVAL. A changeset always does. */
	bool layer;
	bool user_marks; /* of a changeset: the overlay was mounted with `userxattr` */
	/* Of a tree: other mounts are entered, but for what the kernel makes up (proc, sysfs). */
	bool cross;
	/* A path that is left out when it is an empty regular file, or NULL. */
	const char *stub;
};

/* All below `root`. Adds the end marker; fb_pack_end is the caller's. */
int fb_write_tree(int root, struct fb_pack *pack, const struct fb_write_options *options,
		  uint64_t *ret_entries, struct fb_error *err);

/* What is held (by O_PATH, for example) and all below it, under the name `name`; "." for the content
 * of a directory, which then has an entry itself. */
int fb_write_item(int held, const char *name, struct fb_pack *pack,
		  const struct fb_write_options *options, uint64_t *ret_entries,
		  struct fb_error *err);

/* An overlay's upper directory as a changeset: a whiteout (a device 0:0, or an empty file with the
 * attribute) becomes .wh.NAME, an opaque directory gets .wh..wh..opq first.
 *
 * `merged` is the tree that the overlay shows, or -1. Out of it comes what the upper only points to:
 * the data of files whose metadata alone was copied up, and what is in a directory that was renamed
 * from a lower layer. Without it such an entry is ENOTSUP. */
int fb_write_changes(int upper, int merged, struct fb_pack *pack,
		     const struct fb_write_options *options, uint64_t *ret_entries,
		     struct fb_error *err);

#endif
