#include "service_stub.h"

#include <errno.h>
#include <stdio.h>

int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err)
{
	FILE *nft = popen("nft -f -", "we");

	if (!nft)
		return FB_FAIL(err, FB_STAGE_NETWORK, "popen", "nft");
	fprintf(nft,
		"table ip fastbox {\n chain output {\n  type nat hook output priority -100;\n"
		"  ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:%u\n  ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:%u\n }\n}\n",
		udp_port, tcp_port);
	if (pclose(nft) != 0)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EIO, "nft", "127.0.0.11:53", NULL);
	return 0;
}
