/* What a container's network consists of, as typed data: <directory>/network.json, made by Python for each start, parsed here.
 *
 * An *endpoint* is one interface of the container on one network; a *port* is one of its ports, published on addresses of the host.
 * All memory is the arena's. docs/adr/0013-networks.md tells who makes and who releases what.
 */
#ifndef FB_NETWORK_H
#define FB_NETWORK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "error.h"
#include "spec.h"

enum fb_link_kind { FB_LINK_VETH, FB_LINK_MACVLAN, FB_LINK_IPVLAN };

struct fb_address { /* of either family */
	int family; /* AF_INET, AF_INET6; 0: none */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
	unsigned char prefix; /* bits; of an address without one: all of them */
};

struct fb_endpoint {
	const char *network; /* its id */
	enum fb_link_kind kind;
	const char *link;    /* veth: the bridge (or the shard of one) it is a port of; else the parent */
	const char *mode;    /* macvlan: private, vepa, bridge, passthru; ipvlan: l2, l3, l3s */
	const char *name;    /* in the container: eth0 */
	const char *host;    /* veth: the end that stays with the host; new for each start that Python makes */
	unsigned char mac[6];
	bool has_mac;	     /* ipvlan has its parent's */
	unsigned mtu;	     /* bytes; 0: the kernel's */
	struct fb_address *addresses; /* with prefixes */
	size_t address_count;
	struct fb_address gateways[2]; /* of the default routes, v4 then v6; family 0: none */
	bool isolated;	     /* a port that reaches no other isolated one: icc=false */
	bool napi;	     /* receives by NAPI: the broadcasts of a large bridge would overrun the processor's one queue */
	bool guard;	     /* only its own MAC and addresses may leave it */
	struct fb_strv leases; /* files to unlink when it is released */
};

struct fb_port {
	int protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	struct fb_address *hosts; /* where it is published; 0.0.0.0 and :: mean every address of the host */
	size_t host_count;
	uint16_t first, last; /* one port of this range of the host's is taken; 0, 0: any of the ephemeral ones */
	uint16_t port;	      /* the container's */
	struct fb_address address, address6; /* the container's; a v6 host address without address6 is served by netd */
	uint16_t taken;	      /* the host's, once it is reserved */
	int *sockets;	      /* that reserve it, one for each of `hosts`; -1: none */
};

struct fb_dns { /* the embedded server of user-defined networks */
	bool wanted;
	const char *document; /* what netd is told: a JSON object as text */
};

struct fb_network_spec {
	struct fb_arena arena;
	struct fb_endpoint *endpoints;
	size_t endpoint_count;
	struct fb_port *ports;
	size_t port_count;
	struct fb_dns dns;
	struct fb_strv netd; /* argv of the program that serves names and proxies, started when it is first needed */
};

/* Limits of one container. */
#define FB_NETWORK_ENDPOINTS 256
#define FB_NETWORK_ADDRESSES 16 /* of an endpoint; of the host, for a port */
#define FB_NETWORK_PORTS 16384
#define FB_NETWORK_LEASES 64 /* of an endpoint */

/* Parse and validate network.json; unknown members are refused. */
int fb_network_load(const char *path, struct fb_network_spec *ret_network, struct fb_error *err);
int fb_network_parse(const char *text, size_t length, struct fb_network_spec *ret_network, struct fb_error *err);
/* One object of `endpoints` alone, as `connect` takes it. */
int fb_network_parse_endpoint(const char *text, size_t length, struct fb_network_spec *ret_network, struct fb_error *err);
/* Which of the host's ports were taken, from the `ports` of a live state (text of a JSON object; other members are ignored). */
int fb_network_read_taken(struct fb_network_spec *network, const char *text, size_t length, struct fb_error *err);
/* What ports hold is closed before (fb_ports_close). */
void fb_network_free(struct fb_network_spec *network);
/* "172.17.0.2", "fd00::2"; "" for none. */
#define FB_ADDRESS_SIZE 48
void fb_address_format(const struct fb_address *address, char text[FB_ADDRESS_SIZE]);
/* With or without a prefix; false: it is none. */
bool fb_address_read(const char *text, struct fb_address *ret_address);

/* --- what is made of it (network.c); the caller is in the host's namespace, and again afterwards --- */

/* A network namespace with the loopback up and all endpoints in it; those without an IPv6 address still lack `disable_ipv6`. Its descriptor is
 * the caller's: on failure nothing is left. `again`: the
 * document is the one of the last life, whose links may not be gone yet. */
int fb_network_make(const struct fb_network_spec *network, bool again, int *ret_namespace, struct fb_error *err);
/* The same in a namespace that is there; on failure none of the endpoints is left. */
int fb_network_add(const struct fb_network_spec *network, int network_namespace, bool again, struct fb_error *err);
/* Take a link away, wherever it is now. One that has gone is no error. */
int fb_network_remove(const struct fb_endpoint *endpoint, int network_namespace, struct fb_error *err);
/* Unlink the leases, but for those that say by now that they are another container's. NULL: whosoever they are. */
void fb_network_give_back(const struct fb_network_spec *network, const char *container);

#endif
