#include "blake2b.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

static const uint64_t iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const unsigned char sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return x >> n | x << (64 - n);
}

static inline void mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t x, uint64_t y)
{
	*a += *b + x;
	*d = rotate(*d ^ *a, 32);
	*c += *d;
	*b = rotate(*b ^ *c, 24);
	*a += *b + y;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 63);
}

static void compress(struct fb_blake2b *hash, bool last)
{
	uint64_t v[16], m[16];

	memcpy(m, hash->block, sizeof(m));
	for (int i = 0; i < 16; i++)
		m[i] = le64toh(m[i]);
	memcpy(v, hash->state, sizeof(hash->state));
	memcpy(v + 8, iv, sizeof(iv));
	v[12] ^= hash->total;
	v[14] ^= last ? UINT64_MAX : 0;
	for (int round = 0; round < 12; round++) {
		const unsigned char *s = sigma[round % 10];

		for (int i = 0; i < 4; i++)
			mix(&v[i], &v[4 + i], &v[8 + i], &v[12 + i], m[s[2 * i]], m[s[2 * i + 1]]);
		for (int i = 0; i < 4; i++)
			mix(&v[i], &v[4 + (i + 1) % 4], &v[8 + (i + 2) % 4], &v[12 + (i + 3) % 4],
			    m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
	}
	for (int i = 0; i < 8; i++)
		hash->state[i] ^= v[i] ^ v[8 + i];
}

void fb_blake2b_init(struct fb_blake2b *hash)
{
	memset(hash, 0, sizeof(*hash));
	memcpy(hash->state, iv, sizeof(iv));
	hash->state[0] ^= 0x01010000 ^ FB_BLAKE2B_SIZE;
}

void fb_blake2b_update(struct fb_blake2b *hash, const void *data, size_t length)
{
	const unsigned char *at = data;

	while (length) {
		size_t room, n;

		/* A full block waits until it is known not to be the last. */
		if (hash->used == sizeof(hash->block)) {
			hash->total += hash->used;
			compress(hash, false);
			hash->used = 0;
		}
		room = sizeof(hash->block) - hash->used;
		n = length < room ? length : room;
		memcpy(hash->block + hash->used, at, n);
		hash->used += n;
		at += n;
		length -= n;
	}
}

void fb_blake2b_final(struct fb_blake2b *hash, unsigned char ret_digest[FB_BLAKE2B_SIZE])
{
	hash->total += hash->used;
	memset(hash->block + hash->used, 0, sizeof(hash->block) - hash->used);
	compress(hash, true);
	for (int i = 0; i < FB_BLAKE2B_SIZE; i++)
		ret_digest[i] = (unsigned char)(hash->state[i / 8] >> 8 * (i % 8));
}
