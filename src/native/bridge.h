/* Bridges of networks, and what else management asks of the host's interfaces and routes. */
#ifndef FB_BRIDGE_H
#define FB_BRIDGE_H

#include "network.h"

struct fb_bridge {
	const char *name;
	const struct fb_address *addresses;
	size_t address_count;
	unsigned mtu;	  /* 0: the kernel's */
	bool ipv6;
	const char *main; /* it is a shard of this bridge, to which a pair of veths leads; NULL: it is none */
	bool isolated;	  /* shards: the isolated ports of one reach none of another */
};

/* 1: this call made it; 0: it was there. Who returns finds it complete, whoever made it; on failure what this call made is gone. Its containers are
 * reached from the host's loopback (route_localnet), so the rule that keeps such packets of others out has to be there before. */
int fb_bridge_ensure(const struct fb_bridge *bridge, struct fb_error *err);
/* An interface, and the pair of veths when it is a shard. One that has gone is no error. */
int fb_bridge_delete(const char *name, struct fb_error *err);
/* A route of the host's that has addresses of `subnet`, "10.1.0.0/16 dev eth0"; "": none. Of the main table, as docker has it, and without the
 * default routes. */
int fb_route_clash(const struct fb_address *subnet, char *ret_route, size_t size, struct fb_error *err);

#endif
