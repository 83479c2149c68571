/* Other limits for a container that runs. */
#ifndef FB_UPDATE_H
#define FB_UPDATE_H

#include "supervise.h"

/* `text` is an OCI resources object; what it does not say stays. All of it, or nothing, is done. */
int fb_update(struct fb_supervisor *sup, struct fb_container *container, const char *text, struct fb_error *err);

#endif
