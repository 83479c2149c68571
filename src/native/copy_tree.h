/* A file, or a directory and all below it, from one root into another, by descriptors.
 *
 * Either side may belong to a container that runs and swaps names and links meanwhile. Each name is
 * opened in a directory that is held, with O_NOFOLLOW, so that neither reading nor writing ever
 * leaves the two trees; nothing that exists is opened for writing: a file that is replaced is
 * written under another name first. Nodes are copied as nodes, sockets left out.
 */
#ifndef FB_COPY_TREE_H
#define FB_COPY_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct fb_copy_options {
	bool own; /* everything belongs to uid and gid, else to whom it did */
	uint32_t uid, gid;
	bool xattrs; /* user.* and ACLs too; capabilities always go along */
};

struct fb_copy_result {
	uint64_t entries;
	uint64_t size; /* of the tar that it would be, as docker counts */
};

/* `source` is held, by O_PATH for example; it becomes `name` in `dirfd`. "." as name: a directory's
 * content goes into `dirfd` itself, which takes its attributes. What a directory merges with must be
 * one (ENOTDIR), and only a directory replaces none (EISDIR). Other mounts are entered, but not what the kernel
 * makes up (proc, sysfs): such a source is EOPNOTSUPP, below one it is an empty directory. */
int fb_copy_tree(int source, int dirfd, const char *name, const struct fb_copy_options *options,
		 struct fb_copy_result *ret_result, struct fb_error *err);

#endif
