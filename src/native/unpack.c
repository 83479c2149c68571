#include "unpack.h"

#include "inflate.h"
#include "io.h"

static int pass_on(struct fb_inflate *inflate, int out, struct fb_digest *digest, uint64_t *size,
		   struct fb_error *err)
{
	const uint8_t *data;
	ssize_t got;
	int r = 0;

	while (r == 0 && (got = fb_inflate_next(inflate, &data, err)) != 0) {
		if (got < 0)
			return (int)got;
		*size += (uint64_t)got;
		r = fb_digest_add(digest, data, (size_t)got, err);
		if (r == 0 && out >= 0) {
			r = fb_write_all(out, data, (size_t)got);
			if (r < 0)
				return FB_FAIL_CODE(err, FB_STAGE_INFLATE, -r, "write", NULL, NULL);
		}
	}
	return r;
}

int fb_unpack(int in, int out, struct fb_unpack_result *ret_result, struct fb_error *err)
{
	fb_auto_digest struct fb_digest digest = {0};
	struct fb_unpack_result result = {0};
	struct fb_inflate *inflate = NULL;
	uint64_t packed;
	int r = fb_inflate_open(in, UINT64_MAX, &inflate, err);

	if (r < 0)
		return r;
	r = fb_digest_begin(&digest, err);
	if (r == 0)
		r = pass_on(inflate, out, &digest, &result.size, err);
	if (r == 0)
		r = fb_digest_end(&digest, result.digest, err);
	if (r == 0)
		r = fb_inflate_packed(inflate, result.packed_digest, &packed, err);
	fb_inflate_close(inflate);
	if (r == 0)
		*ret_result = result;
	return r;
}
