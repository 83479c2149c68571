/* BLAKE2b (RFC 7693), unkeyed, 32 bytes: the digest of the static programs, which do not link
 * libcrypto. Three times as fast as SHA-256 in plain C, and this is on the path of every start.
 */
#ifndef FB_BLAKE2B_H
#define FB_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

#define FB_BLAKE2B_SIZE 32

struct fb_blake2b {
	uint64_t state[8];
	uint64_t total;
	unsigned char block[128];
	size_t used;
};

void fb_blake2b_init(struct fb_blake2b *hash);
void fb_blake2b_update(struct fb_blake2b *hash, const void *data, size_t length);
void fb_blake2b_final(struct fb_blake2b *hash, unsigned char ret_digest[FB_BLAKE2B_SIZE]);

#endif
