/* What netd does for a container, and who has its sockets meanwhile.
 *
 * The sockets of the name server (127.0.0.11 in the container, on ports of the kernel's choice behind a redirect) and of the ports that are
 * relayed are made here and watched here. The first packet makes the supervisor connect to netd, which it starts when nobody answers, and
 * send it copies of the sockets: what has arrived waits in them. While that conversation lasts netd reads them and nobody looks here; when it
 * ends (netd died, or had nothing to do) they are watched again. Nothing here ever waits.
 *
 * The messages, one JSON object each: {"dns":{...},"relays":[{"protocol","address","port"},...]} with the descriptors [network namespace, udp,
 * tcp] of a `dns` that netd does not have yet, then one for each relay. A `dns` without descriptors replaces what was told, null ends it.
 */
#ifndef FB_SERVICE_H
#define FB_SERVICE_H

#include "error.h"
#include "network.h"
#include "supervise.h"

/* Make the sockets and watch them; nothing when the spec asks for none. What is needed of the spec is copied, the sockets of its ports too.
 * On failure nothing is left. */
int fb_service_open(struct fb_supervisor *sup, struct fb_container *container, const struct fb_network_spec *spec, int network_namespace,
		    struct fb_error *err);
/* spec->dns has changed, since a network was connected or disconnected: told at once when netd serves it. A server that was not wanted so far is
 * made; for one that is there the namespace may be -1. */
int fb_service_update(struct fb_supervisor *sup, struct fb_container *container, const struct fb_network_spec *spec, int network_namespace,
		      struct fb_error *err);
/* Close everything; netd sees the end of the conversation and does the same. Nothing to do is no error. */
void fb_service_close(struct fb_supervisor *sup, struct fb_container *container);

#endif
