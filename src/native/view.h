/* A container's root as a descriptor, to be read: nothing is attached anywhere, and what was made
 * ends with the descriptor.
 */
#ifndef FB_VIEW_H
#define FB_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* Directories stacked as overlayfs shows them, read-only, topmost first; at least two. A detached
 * mount (fsopen 5.2; every layer by a call of its own 6.5), else one in a mount namespace that a
 * thread makes for itself and leaves behind. Returns the descriptor. */
int fb_view_layers(const char *const *layers, size_t count, struct fb_error *err);
/* The root of a running process, without what is mounted below it (a clone of that mount alone:
 * open_tree, 5.2) or with all of it. `proc` is its directory in /proc. -ENOSYS on older kernels. Returns the
 * descriptor. */
int fb_view_process(int proc, bool below, struct fb_error *err);

struct fb_view_bind {
	const char *source, *target; /* of the host; in the root */
	bool read_only;
};

struct fb_view_mount {
	const char *const *lower; /* topmost first */
	size_t lower_count;
	const char *upper, *work; /* NULL: read-only */
	bool read_only; /* the overlay, not what is mounted below it */
	const struct fb_view_bind *binds; /* in the order in which they are mounted */
	size_t bind_count;
};

/* The root of a container that does not run, to be read and written: its overlay and its binds, as
 * a tree of mounts that is attached nowhere (open_tree, 5.2). A bind's target that is missing is
 * made, as a start makes it. Returns the descriptor. */
int fb_view_mounted(const struct fb_view_mount *view, struct fb_error *err);

#endif
