/* Mounts whose files belong to other ids than the file system says. */
#ifndef FB_IDMAP_H
#define FB_IDMAP_H

#include "plan.h"

/* The user namespace of the container, or one with the mappings that it will have. A descriptor of the plan's. */
int fb_idmap_own_namespace(struct fb_plan *plan, struct fb_error *err);
/* A detached clone of the mount at `path`, mapped. `recursive`: with what is mounted below; `tree`: which is mapped as well (both
 * AT_RECURSIVE or 0). `propagation`: MS_*, or 0: as it is. */
int fb_idmap_clone(const char *path, unsigned recursive, unsigned tree, int user_namespace, unsigned long propagation,
		   struct fb_error *err);

#endif
