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
	struct fb_digest digest;

	fb_digest_begin(&digest);
	fb_digest_add(&digest, data, length);
	fb_digest_end(&digest, ret_digest);
	return 0;
}
