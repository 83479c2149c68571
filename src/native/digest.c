#include "digest.h"

#include <errno.h>
#include <openssl/evp.h>

#include "cleanup.h"
#include "io.h"
#include "tar_extract.h"

#define BUFFER_SIZE ((size_t)512 << 10)

int fb_digest_begin(struct fb_digest *ret_digest, struct fb_error *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(context);
		return FB_FAIL_CODE(err, FB_STAGE_DIGEST, ENOMEM, "EVP_DigestInit", NULL, NULL);
	}
	ret_digest->context = context;
	return 0;
}

int fb_digest_add(struct fb_digest *digest, const void *data, size_t length, struct fb_error *err)
{
	if (EVP_DigestUpdate(digest->context, data, length) != 1)
		return FB_FAIL_CODE(err, FB_STAGE_DIGEST, EIO, "EVP_DigestUpdate", NULL, NULL);
	return 0;
}

int fb_digest_end(struct fb_digest *digest, uint8_t ret_value[FB_DIGEST_SIZE], struct fb_error *err)
{
	if (EVP_DigestFinal_ex(digest->context, ret_value, NULL) != 1)
		return FB_FAIL_CODE(err, FB_STAGE_DIGEST, EIO, "EVP_DigestFinal", NULL, NULL);
	return 0;
}

void fb_digest_release(struct fb_digest *digest)
{
	EVP_MD_CTX_free(digest->context);
	digest->context = NULL;
}

/* `out` -1: only hash. */
static int stream(int in, int out, uint64_t max, uint8_t *ret_digest, uint64_t *ret_size,
		  struct fb_error *err)
{
	fb_auto_digest struct fb_digest digest = {0};
	fb_auto_free uint8_t *buffer = malloc(BUFFER_SIZE);
	uint64_t size = 0;
	int r;

	if (!buffer)
		return FB_FAIL_CODE(err, FB_STAGE_DIGEST, ENOMEM, "malloc", NULL, NULL);
	r = fb_digest_begin(&digest, err);
	while (r == 0) {
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
		r = fb_digest_add(&digest, buffer, (size_t)got, err);
		if (r == 0 && out >= 0) {
			r = fb_write_all(out, buffer, (size_t)got);
			if (r < 0)
				return FB_FAIL_CODE(err, FB_STAGE_DIGEST, -r, "write", NULL, NULL);
		}
	}
	if (r == 0)
		r = fb_digest_end(&digest, ret_digest, err);
	if (r == 0 && ret_size)
		*ret_size = size;
	return r;
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
