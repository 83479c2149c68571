/* A container's root as a descriptor, to be read: nothing is attached anywhere, and what was made
 * ends with the descriptor.
 */
#ifndef FB_VIEW_H
#define FB_VIEW_H

#include <stddef.h>

#include "error.h"

/* Directories stacked as overlayfs shows them, read-only, topmost first; at least two. A detached
 * mount (fsopen 5.2; every layer by a call of its own 6.5), else one in a mount namespace that a
 * thread makes for itself and leaves behind. Returns the descriptor. */
int fb_view_layers(const char *const *layers, size_t count, struct fb_error *err);
/* The root of a running process, without what is mounted below it: a clone of that mount alone
 * (open_tree, 5.2). `proc` is its directory in /proc. -ENOSYS on older kernels. Returns the
 * descriptor. */
int fb_view_process(int proc, struct fb_error *err);

#endif
