/* Until nft.h is there: the redirect by the nft command. */
#ifndef FB_SERVICE_STUB_H
#define FB_SERVICE_STUB_H

#include <stdint.h>

#include "error.h"

/* In the calling thread's network namespace: 127.0.0.11:53 leads to these ports of 127.0.0.11. */
int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err);

#endif
