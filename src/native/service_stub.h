/* Until nft.h and ports.h are there: the redirect by the nft command. */
#ifndef FB_SERVICE_STUB_H
#define FB_SERVICE_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "network.h"

/* In the calling thread's network namespace: 127.0.0.11:53 leads to these ports of 127.0.0.11. */
int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err);
/* Must what arrives at this host address be relayed by whoever has the socket? */
bool fb_port_relayed(const struct fb_port *port, size_t host);

#endif
