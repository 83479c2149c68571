/* A regular file put at a name in a directory that somebody else may change meanwhile. */
#ifndef FB_COPY_REGULAR_H
#define FB_COPY_REGULAR_H

#include "copy_attributes.h"

/* `held`, by O_PATH for example, of which `st` was said, is copied to `name` in `dirfd`: no link is followed, and nothing that exists is
 * opened for writing. What is there and no directory (EISDIR) is replaced by one rename, when the new one is whole. */
int fb_copy_regular(int held, const struct stat *st, const struct fb_attributes *wanted, int dirfd, const char *name, uint64_t *ret_size,
		    struct fb_error *err);

#endif
