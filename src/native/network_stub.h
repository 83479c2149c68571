/* What nft.h, ports.h and service.h declare; goes when they are here. */
#ifndef FB_NETWORK_STUB_H
#define FB_NETWORK_STUB_H

#include "network.h"

int fb_ports_reserve(struct fb_network_spec *network, struct fb_arena *arena, struct fb_error *err);
void fb_ports_close(struct fb_network_spec *network);
int fb_nft_endpoints(const struct fb_network_spec *spec, bool add, struct fb_error *err);

#endif
