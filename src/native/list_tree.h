/* What is in a tree, as a build looks at it: each path with what one stat tells of it. */
#ifndef FB_LIST_TREE_H
#define FB_LIST_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "error.h"

struct fb_listed {
	struct stat st;
	size_t path, link; /* where they begin in `text`; a link is "" but for a symbolic link */
};

struct fb_listing {
	struct fb_listed *entries;
	size_t count, room, most;
	char *text; /* paths below the root and links, each with its NUL */
	size_t length, text_room;
	size_t *order; /* of the entries: names by their bytes, each directory before what is in it */
	size_t ordered, order_room;
};

/* What is in the directory `path` of `root`, "" for itself; `deep`: all below it. Sockets are left out, and what vanishes or is no
 * directory any more meanwhile. E2BIG: more than `most` entries. fb_listing_free is due, after a failure too. */
int fb_list_tree(int root, const char *path, bool deep, size_t most, struct fb_listing *listing, struct fb_error *err);
void fb_listing_free(struct fb_listing *listing);

#endif
