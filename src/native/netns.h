/* A visit to another network namespace, by a thread that has to get back: sockets belong for ever to the one they were made in. */
#ifndef FB_NETNS_H
#define FB_NETNS_H

#include <sys/types.h>

#include "error.h"

struct fb_netns_visit {
	int back; /* -1: not away */
};

/* Make a network namespace and stay in it; *ret_namespace is the caller's to close, and the namespace ends with the last descriptor and process. */
int fb_netns_make(struct fb_netns_visit *visit, int *ret_namespace, struct fb_error *err);
int fb_netns_enter(struct fb_netns_visit *visit, int network_namespace, struct fb_error *err);
/* Who can't get back must not go on: what it did next to the host's network it would do to the container's. It aborts. */
void fb_netns_leave(struct fb_netns_visit *visit);
/* The network namespace of a process of ours that is not reaped. A descriptor, or negative. */
int fb_netns_of(pid_t pid, struct fb_error *err);
/* A socket made in `network_namespace`: its descriptor, close-on-exec, non-blocking. */
int fb_netns_socket(int network_namespace, int family, int type, struct fb_error *err);

#endif
