/* To work inside another network namespace for a moment: sockets belong for ever to the one they were made in. */
#ifndef FB_INSIDE_H
#define FB_INSIDE_H

#include "error.h"

/* From here on the calling thread's sockets are made in `network_namespace`; *ret_back is what fb_inside_leave needs. */
int fb_inside_enter(int network_namespace, int *ret_back, struct fb_error *err);
/* Who can't get back aborts: the next thing it did to the network would be done to the container's. */
void fb_inside_leave(int *back);
/* A socket made in `network_namespace`: its descriptor, close-on-exec, non-blocking. */
int fb_inside_socket(int network_namespace, int family, int type, struct fb_error *err);

#endif
