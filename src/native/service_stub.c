#include "service_stub.h"

#include <errno.h>
#include <stdio.h>

int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err)
{
	FILE *nft = popen("nft -f -", "we");

	if (!nft)
		return FB_FAIL(err, FB_STAGE_NETWORK, "popen", "nft");
	fprintf(nft,
		"table ip fastbox\ndelete table ip fastbox\ntable ip fastbox {\n chain output {\n  type nat hook output priority -100;\n"
		"  ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:%u\n  ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:%u\n }\n}\n",
		udp_port, tcp_port);
	if (pclose(nft) != 0)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EIO, "nft", "127.0.0.11:53", NULL);
	return 0;
}

bool fb_port_relayed(const struct fb_port *port, size_t host)
{
	const struct fb_address *address = &port->hosts[host];

	if (address->family != AF_INET6 || port->protocol == IPPROTO_SCTP)
		return false;
	return port->address6.family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&address->v6) || IN6_IS_ADDR_UNSPECIFIED(&address->v6);
}
