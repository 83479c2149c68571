/* What is in one directory, as a build looks at a tree: each name with what one stat tells of it. */
#ifndef FB_LIST_DIR_H
#define FB_LIST_DIR_H

#include <stddef.h>
#include <sys/stat.h>

#include "error.h"

struct fb_listed {
	struct stat st;
	size_t name, link; /* where they begin in `text`; a link is "" but for a symbolic link */
};

struct fb_listing {
	struct fb_listed *entries;
	size_t count, room;
	char *text; /* names and links, each with its NUL */
	size_t length, text_room;
};

/* All of `dirfd`, which is read from its beginning, in no order. What vanishes meanwhile is left out. fb_listing_free is due, after a failure
 * too. */
int fb_list_dir(int dirfd, struct fb_listing *listing, struct fb_error *err);
void fb_listing_free(struct fb_listing *listing);

#endif
