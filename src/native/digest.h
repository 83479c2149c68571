/* SHA-256, by libcrypto (it knows the processor's own instructions). fb_digest_fd and
 * fb_copy_digest are in tar_extract.h. */
#ifndef FB_DIGEST_H
#define FB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define FB_DIGEST_SIZE 32

struct fb_digest {
	void *context;
};

int fb_digest_begin(struct fb_digest *ret_digest, struct fb_error *err);
int fb_digest_add(struct fb_digest *digest, const void *data, size_t length, struct fb_error *err);
/* Ends the computation; fb_digest_release is still due. */
int fb_digest_end(struct fb_digest *digest, uint8_t ret_value[FB_DIGEST_SIZE],
		  struct fb_error *err);
void fb_digest_release(struct fb_digest *digest);

#define fb_auto_digest __attribute__((cleanup(fb_digest_release)))

#endif
