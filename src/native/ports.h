/* Ports of the host, kept by bound sockets: exclusive by the kernel against every other program, and free again when the process ends. */
#ifndef FB_PORTS_H
#define FB_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "error.h"
#include "network.h"

/* Give each port a number (`taken`) that is free on all its `hosts`, and the `sockets` that keep it, in this network namespace. All or
 * nothing. A socket is -1 where the kernel has no IPv6 and the host address is "::", and where a reservation of SCTP is kept by a name. */
int fb_ports_reserve(struct fb_network_spec *spec, struct fb_arena *arena, struct fb_error *err);
/* Give all of them back; `taken` stays, since the elements are named by it. */
void fb_ports_close(struct fb_network_spec *spec);
/* Must what arrives at this host address be relayed by whoever has the socket? Then a TCP socket listens. So it is for every IPv6
 * address when the container has none, and else for [::1], also by way of "::": IPv6 has no route_localnet. */
bool fb_port_relayed(const struct fb_port *port, size_t host);

#endif
