/* SHA-256, by libcrypto (it knows the processor's own instructions), and by its plain functions: those of EVP look their
 * algorithm up for each file, and bring all of libcrypto along, 17,000 relocations whenever a module is loaded. fb_digest_fd
 * and fb_copy_digest are in tar_extract.h. */
#ifndef FB_DIGEST_H
#define FB_DIGEST_H

#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

#define FB_DIGEST_SIZE SHA256_DIGEST_LENGTH

struct fb_digest {
	SHA256_CTX state;
};

void fb_digest_begin(struct fb_digest *ret_digest);
void fb_digest_add(struct fb_digest *digest, const void *data, size_t length);
void fb_digest_end(struct fb_digest *digest, uint8_t ret_value[FB_DIGEST_SIZE]);

#endif
