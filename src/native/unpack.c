#include "unpack.h"

#include <string.h>

#include "io.h"
#include "stream.h"

static int pass_on(struct fb_stream *stream, int out, struct fb_error *err)
{
	const uint8_t *data;
	ssize_t got;

	while ((got = fb_stream_next(stream, &data, err)) > 0) {
		int r = out < 0 ? 0 : fb_write_all(out, data, (size_t)got);

		if (r < 0)
			return FB_FAIL_CODE(err, FB_STAGE_INFLATE, -r, "write", NULL, NULL);
	}
	return (int)got;
}

int fb_unpack(int in, int out, struct fb_unpack_result *ret_result, struct fb_error *err)
{
	const struct fb_stream_options options = {
	    .max_packed = UINT64_MAX, .copy = -1, .digests = true};
	struct fb_stream_result read;
	struct fb_stream *stream = NULL;
	int r = fb_stream_open(in, &options, &stream, err);

	if (r < 0)
		return r;
	r = pass_on(stream, out, err);
	if (r == 0)
		r = fb_stream_finish(stream, &read, err);
	fb_stream_close(stream);
	if (r < 0)
		return r;
	memcpy(ret_result->digest, read.unpacked_digest, FB_DIGEST_SIZE);
	memcpy(ret_result->packed_digest, read.packed_digest, FB_DIGEST_SIZE);
	ret_result->size = read.unpacked_size;
	return 0;
}
