/* libfastbox's functions as the bindings see them. */
#include "call.h"

#include "digest.h"
#include "error.h"

const char *bench_stage_name(int stage)
{
	return fb_stage_name(stage);
}

int bench_digest(const void *data, size_t length, uint8_t ret_digest[32])
{
	fb_auto_digest struct fb_digest digest = {NULL};
	struct fb_error err;
	int r = fb_digest_begin(&digest, &err);

	if (r == 0)
		r = fb_digest_add(&digest, data, length, &err);
	return r < 0 ? r : fb_digest_end(&digest, ret_digest, &err);
}
