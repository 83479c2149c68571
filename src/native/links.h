/* The first name of each file that has several. */
#ifndef FB_LINKS_H
#define FB_LINKS_H

#include <stddef.h>
#include <sys/stat.h>

struct fb_links { /* open addressing; all zero: empty */
	struct fb_link {
		dev_t dev;
		ino_t ino;
		char *name; /* NULL: free */
	} *table;
	size_t count, room;
};

/* The name that the file was noted with, or NULL: now it is noted with this one. -ENOMEM. */
int fb_links_note(struct fb_links *links, const struct stat *st, const char *name,
		  const char **ret_first);
void fb_links_free(struct fb_links *links);

#endif
