/* The one netd of a run directory: reach it, and start it when there is none. */
#ifndef FB_NETD_H
#define FB_NETD_H

#include "error.h"
#include "spec.h"

/* A connection to <run>/netd/sock. When nobody listens there, `argv` is started with two words more: the numbers of the descriptors of the locked
 * <run>/netd and of the listening socket, which it inherits. So only one is ever started, and a message to it may be sent before it runs.
 * EAGAIN: one is just starting or ending; try again. */
int fb_netd_reach(const char *run, char *const *argv, struct fb_error *err);

#endif
