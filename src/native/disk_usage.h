/* How much of the disk trees take, as du counts: blocks, not lengths; a file with several names once.
 *
 * Trees are somebody else's and may change meanwhile: links are never followed, mounts never entered, what vanishes counts nothing.
 */
#ifndef FB_DISK_USAGE_H
#define FB_DISK_USAGE_H

#include <stdint.h>

#include "error.h"

/* The files with several names that were met so far: trees counted by the same one share them. */
struct fb_disk_usage;

struct fb_disk_usage_sum {
	uint64_t bytes, entries;
};

int fb_disk_usage_open(struct fb_disk_usage **ret_usage, struct fb_error *err);
/* Count `name` below `dirfd` (one name, or "." for the directory itself) and all in it. Missing counts nothing. */
int fb_disk_usage_add(struct fb_disk_usage *usage, int dirfd, const char *name,
		      struct fb_disk_usage_sum *ret_sum, struct fb_error *err);
void fb_disk_usage_close(struct fb_disk_usage *usage);

#endif
