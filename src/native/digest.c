#define OPENSSL_SUPPRESS_DEPRECATED /* in favour of EVP: see there */
#include "digest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "tar_extract.h"

#define BUFFER_SIZE ((size_t)512 << 10)

void fb_digest_begin(struct fb_digest *ret_digest)
{
	SHA256_Init(&ret_digest->state);
}

void fb_digest_add(struct fb_digest *digest, const void *data, size_t length)
{
	SHA256_Update(&digest->state, data, length);
}

void fb_digest_end(struct fb_digest *digest, uint8_t ret_value[FB_DIGEST_SIZE])
{
	SHA256_Final(ret_value, &digest->state);
}

/* `out` -1: only hash. */
static int stream(int in, int out, uint64_t max, uint8_t *ret_digest, uint64_t *ret_size,
		  struct fb_error *err)
{
	struct fb_digest digest;
	fb_auto_free uint8_t *buffer = malloc(BUFFER_SIZE);
	uint64_t size = 0;
	int r;

	if (!buffer)
		return FB_FAIL_CODE(err, FB_STAGE_DIGEST, ENOMEM, "malloc", NULL, NULL);
	fb_digest_begin(&digest);
	for (;;) {
		ssize_t got = read(in, buffer, BUFFER_SIZE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return FB_FAIL(err, FB_STAGE_DIGEST, "read", NULL);
		if (got == 0)
			break;
		if ((uint64_t)got > max - size)
			return FB_FAIL_CODE(err, FB_STAGE_DIGEST, EFBIG, "read", NULL,
					    "more bytes than allowed");
		size += (uint64_t)got;
		fb_digest_add(&digest, buffer, (size_t)got);
		if (out >= 0) {
			r = fb_write_all(out, buffer, (size_t)got);
			if (r < 0)
				return FB_FAIL_CODE(err, FB_STAGE_DIGEST, -r, "write", NULL, NULL);
		}
	}
	fb_digest_end(&digest, ret_digest);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int fb_digest_fd(int fd, uint8_t ret_digest[32], uint64_t *ret_size, struct fb_error *err)
{
	return stream(fd, -1, UINT64_MAX, ret_digest, ret_size, err);
}

int fb_copy_digest(int in, int out, uint64_t max, uint8_t ret_digest[32], uint64_t *ret_size,
		   struct fb_error *err)
{
	return stream(in, out, max, ret_digest, ret_size, err);
}
