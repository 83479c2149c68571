/* No time of modification of a tree later than a given one (SOURCE_DATE_EPOCH). */
#ifndef FB_CLAMP_TIMES_H
#define FB_CLAMP_TIMES_H

#include <stdint.h>

#include "error.h"

/* Everything below `root` and the root itself that was modified later than `seconds` since 1970 gets exactly this time; `*ret_count` of
 * them did. No link is followed, no other mount entered, and any depth is fine. A tree that somebody moves meanwhile is EAGAIN. */
int fb_clamp_times(int root, int64_t seconds, uint64_t *ret_count, struct fb_error *err);

#endif
