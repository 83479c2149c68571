/* What the start of a container and the groups of its execs share. */
#ifndef FB_START_H
#define FB_START_H

#include "supervise.h"

/* Publish the live state; pid 0: about to be cloned. */
int fb_live_write(struct fb_supervisor *sup, const struct fb_container *container, pid_t pid, struct fb_error *err);

#endif
