/* A container's directory that was renamed to tmp/rm-<id>, to be deleted: by the supervisor, or by whoever finds it. */
#ifndef FB_TRASH_H
#define FB_TRASH_H

#include "error.h"

/* Delete <tmp>/rm-<id> and the anonymous volumes that end with it: the directory "volumes" in it has one of each name. A volume counts its
 * users by files <root>/volumes/<name>/users/<id of a container>; whoever takes the last one away may remove `users`, and by that, which
 * the kernel grants to one only, the volume. What is gone already is as wanted, so a death half-way is made good by the next call. */
int fb_trash_empty(int tmp, const char *id, struct fb_error *err);

#endif
