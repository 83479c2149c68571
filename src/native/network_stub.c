/* Nothing is published, guarded or served yet: goes when nft.c, ports.c and service.c are here. */
#include "network_stub.h"

int fb_ports_reserve(struct fb_network_spec *network, struct fb_arena *arena, struct fb_error *err)
{
	(void)arena, (void)err;
	for (size_t i = 0; i < network->port_count; i++)
		network->ports[i].taken = network->ports[i].first;
	return 0;
}

void fb_ports_close(struct fb_network_spec *network)
{
	for (size_t i = 0; i < network->port_count; i++)
		network->ports[i].taken = 0;
}

int fb_nft_endpoints(const struct fb_network_spec *spec, bool add, struct fb_error *err)
{
	(void)spec, (void)add, (void)err;
	return 0;
}
