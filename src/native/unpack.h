/* A packed stream (plain, gzip or zstd) written out unpacked. */
#ifndef FB_UNPACK_H
#define FB_UNPACK_H

#include <stdint.h>

#include "digest.h"
#include "error.h"

struct fb_unpack_result {
	uint8_t packed_digest[FB_DIGEST_SIZE], digest[FB_DIGEST_SIZE]; /* of what was read; of what was written */
	uint64_t size;						       /* of what was written */
};

/* From `in`'s offset to its end. `out` -1: only measured and hashed. */
int fb_unpack(int in, int out, struct fb_unpack_result *ret_result, struct fb_error *err);

#endif
