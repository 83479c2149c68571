/* An overlay's upper directory on its way to be a layer's tree. */
#ifndef FB_SETTLE_TREE_H
#define FB_SETTLE_TREE_H

#include <stdint.h>

#include "error.h"

/* Takes away what the archive of a layer does not tell: overlayfs's own attributes (but "opaque"), and sockets. Everything that was
 * modified later than `*max_mtime` seconds since 1970 gets exactly this time (NULL: times stay). `*ret_size`: bytes of the files, each
 * once. No link is followed, no other mount entered, and any depth is fine. A tree that somebody moves meanwhile is EAGAIN. */
int fb_settle_tree(int root, const int64_t *max_mtime, uint64_t *ret_size, struct fb_error *err);

#endif
