/* Interfaces: a container's ends of its networks, and what every interface has (addresses, routes, settings).
 *
 * Of the two sockets one belongs to the host's namespace, one to the container's, in which the caller is meanwhile: settings below /proc/sys
 * are those of the namespace of who opens them.
 */
#ifndef FB_LINK_H
#define FB_LINK_H

#include "netlink.h"
#include "network.h"

/* Make the endpoints' links and everything of theirs that is in the container. `again`: what has the name of a host's end is the same
 * container's, of its last life, and gives way. `fresh`: the namespace has just been made, and its loopback comes up too; an endpoint without an IPv6
 * address is to be told `disable_ipv6` by the container's process. After a failure some of the links may be there. */
int fb_links_make(struct fb_netlink *host, struct fb_netlink *inside, int network_namespace,
		  const struct fb_endpoint *endpoints, size_t count, bool again, bool fresh, struct fb_error *err);
bool fb_endpoint_has_ipv6(const struct fb_endpoint *endpoint);
/* What is not there is no error. */
int fb_link_remove(struct fb_netlink *host, struct fb_netlink *inside, const struct fb_endpoint *endpoint, struct fb_error *err);

/* 0: there is none of this name. */
unsigned fb_link_index(int socket, const char *name);
/* /proc/sys/net/<family>/conf/<name>/<key>: 0 or -errno. */
int fb_link_setting(const char *family, const char *name, const char *key, const char *value);
/* Messages of a batch. */
void fb_link_up(struct fb_netlink *nl, unsigned index, const char *name);
void fb_link_address(struct fb_netlink *nl, unsigned index, const struct fb_address *address, int flags, const char *name);
void fb_link_delete(struct fb_netlink *nl, const char *name);
/* Whether the first `bits` bits are the same. */
bool fb_address_shares(const struct fb_address *one, const struct fb_address *other, unsigned bits);

#endif
