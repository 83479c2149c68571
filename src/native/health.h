/* A container's health: a probe now and then, which is an exec; what it says is in the container's directory, `health`. */
#ifndef FB_HEALTH_H
#define FB_HEALTH_H

#include "supervise.h"

/* The container runs (again): its health is not known yet. Nothing without a document in `spec`. */
void fb_health_start(struct fb_supervisor *sup, struct fb_container *container, const struct fb_health_spec *spec);
/* Its process has ended. */
void fb_health_stop(struct fb_supervisor *sup, struct fb_container *container);
/* It stands still, or goes on: nobody asks one that can't answer. */
void fb_health_paused(struct fb_supervisor *sup, struct fb_container *container);
/* An exec has ended: perhaps it is the probe. */
void fb_health_told(struct fb_supervisor *sup, struct fb_task *task);
void fb_health_free(struct fb_supervisor *sup, struct fb_container *container);

#endif
