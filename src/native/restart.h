/* A container that starts again: by its policy, or because a client asked for it. */
#ifndef FB_RESTART_H
#define FB_RESTART_H

#include "supervise.h"

/* Its process has ended as `end` says. True: it is to start again (`last` and `wait_ms` are set), and its live state says so; an exit
 * record is for those that don't. */
bool fb_restart_begin(struct fb_supervisor *sup, struct fb_container *container, const struct fb_exit *end);
/* Its last process is gone: give back its groups and wait. */
void fb_restart_wait(struct fb_supervisor *sup, struct fb_container *container);
/* Something about it was decided anew: if it waits to be started again, it looks at once. Nothing is freed before the next event. */
void fb_restart_hurry(struct fb_supervisor *sup, struct fb_container *container);
/* Its layer can be mounted again, synced or not. */
void fb_restart_forget_volatile(const char *work);
/* Of `restart_timer`. */
void fb_restart_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events);

#endif
