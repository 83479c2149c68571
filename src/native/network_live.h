/* The networks of the containers that run here: what a start sets up, connect and disconnect change, and an end takes back.
 *
 * The list is the supervisor's own: it is made of network.json at each start, and goes by what was connected and disconnected since. So it is
 * right whatever is in the file meanwhile.
 */
#ifndef FB_NETWORK_LIVE_H
#define FB_NETWORK_LIVE_H

#include "launch.h"
#include "network.h"
#include "request.h"

struct fb_network { /* of a container; the first one is the document's, each other one was connected */
	struct fb_network_spec spec;
	struct fb_network *next;
	char *dns;  /* replaces the document's; NULL: it does not */
	bool again; /* a last life of it may still be ending */
	bool up;    /* it may have elements */
};

struct fb_network_start {
	struct fb_launch_network launch;
	struct fb_supervisor *sup;
	struct fb_container *container;
};

/* Read the document and reserve its ports: from here on they are in the live state. Nothing when the spec names none. */
int fb_network_reserve(struct fb_container *container, const struct fb_spec *spec, struct fb_error *err);
/* Everything else; what is the process's part of it is added to the spec's settings. What needs the container's process is done when fb_launch calls. What was made is taken back by fb_network_down. */
int fb_network_begin(struct fb_supervisor *sup, struct fb_container *container, struct fb_spec *spec,
		     struct fb_network_start *ret_start, struct fb_error *err);
/* After fb_launch, or instead of it: a descriptor of ours would keep the namespace. */
void fb_network_launched(struct fb_network_start *start);
/* At each end: elements, ports, the name server. Links go with their namespace. May be repeated. */
void fb_network_down(struct fb_supervisor *sup, struct fb_container *container);
/* At the last end: leases too. May be repeated. */
void fb_network_forget(struct fb_container *container);
/* A start that failed before its document was read: the leases in it, if there is one. */
void fb_network_abandon(struct fb_container *container);

/* Requests (see request.c). */
int fb_network_connect(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
		       struct fb_error *err);
int fb_network_disconnect(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
			  struct fb_error *err);
int fb_network_dns(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
		   struct fb_error *err);

#endif
