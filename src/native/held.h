/* Long lists of paths below a root that somebody else filled, one path at a time: the directory of the last path stays held, since the
 * next is mostly in it too, and its entries are touched by their last names only.
 *
 * Paths are relative and plain: "a/b", no empty name, no "." and no ".." in them. No link on the way is ever followed (ELOOP), and nothing
 * is made.
 */
#ifndef FB_HELD_H
#define FB_HELD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "error.h"

struct fb_held {
	int root; /* the caller's */
	int fd;	  /* of the directory `path`; -1: none */
	size_t length;
	char path[PATH_MAX];
};

void fb_held_begin(struct fb_held *held, int root);
void fb_held_end(struct fb_held *held);

/* The root itself: "" or ".". */
bool fb_held_is_root(const char *path);
/* A descriptor of the directory that `path` is in, good until the next call and not to be closed; `*ret_leaf` is the last name. -EINVAL:
 * not a plain path. */
int fb_held_parent(struct fb_held *held, const char *path, const char **ret_leaf);
/* Open a regular file for reading, and nothing else (-ELOOP: a link; -EINVAL: another kind). Its time of access stays, where the kernel
 * lets us. */
int fb_held_open_file(struct fb_held *held, const char *path, struct stat *ret_st);

#endif
