/* What a start makes in a container's writable layer to mount something on, taken away again when the container has ended. */
#ifndef FB_STUBS_H
#define FB_STUBS_H

#include <stdint.h>

#include "error.h"

/* Remove `path` below `root` if it is still what was made: an empty directory (`kind` is S_IFDIR) or an empty regular file with no other
 * name (S_IFREG). 1: removed; 0: it is missing or something else by now, and was left. Links on the way are not followed. EINVAL: not a
 * plain path (held.h), or another kind. */
int fb_remove_stub(int root, const char *path, uint32_t kind, struct fb_error *err);

#endif
