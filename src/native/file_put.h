/* One file of a source's tree put at a path of a target's: what the threads of file_copy.c do. */
#ifndef FB_FILE_PUT_H
#define FB_FILE_PUT_H

#include "file_copy.h"
#include "held.h"

struct fb_putter { /* of one thread */
	struct fb_held from, to;
	struct fb_error *err;
};

/* NULL: no memory. */
struct fb_putter *fb_putter_open(int source, int target, struct fb_error *err);
void fb_putter_close(struct fb_putter *putter);
static inline void fb_cleanup_putter(struct fb_putter **putter)
{
	fb_putter_close(*putter);
}
#define fb_auto_putter __attribute__((cleanup(fb_cleanup_putter)))

/* The source of a regular file, opened; ESTALE when it is none any more, or not as it was at `ctime_ns`. */
int fb_put_open(struct fb_putter *putter, const struct fb_copy_entry *entry, struct stat *ret_st);
/* What was opened becomes a file of its own, in place of what is there and no directory. */
int fb_put_file(struct fb_putter *putter, const struct fb_copy_entry *entry, int from, const struct stat *st, uint64_t *ret_size);
/* Another name for a file at `first`, a path of the target's tree. 0: there can be none. */
int fb_put_link(struct fb_putter *putter, const struct fb_copy_entry *entry, const char *first);
/* A symbolic link, a fifo or a device. */
int fb_put_other(struct fb_putter *putter, const struct fb_copy_entry *entry);
/* A directory without anything of its source's yet, in place of what is there and none. */
int fb_put_directory(struct fb_putter *putter, const struct fb_copy_entry *entry);
/* Owner, attributes, mode and time of a directory. */
int fb_put_directory_attributes(struct fb_putter *putter, const struct fb_copy_entry *entry);

#endif
