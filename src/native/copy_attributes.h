/* Whose a copy is, its mode, times and extended attributes. */
#ifndef FB_COPY_ATTRIBUTES_H
#define FB_COPY_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "error.h"

struct fb_attributes {
	uint32_t uid, gid;
	mode_t mode;
	bool xattrs; /* user.* and ACLs too; capabilities always go along */
	struct timespec times[2]; /* UTIME_OMIT: as it is */
};

/* Gives the open file or directory `to` what is wanted and the extended attributes of `from`, which is open for reading; -1: none. Nothing
 * of the host's policy goes along, nothing that steers overlayfs, and what the other file system can't hold is lost, as in a tar. */
int fb_copy_attributes(int from, int to, const struct fb_attributes *wanted, struct fb_error *err);

#endif
