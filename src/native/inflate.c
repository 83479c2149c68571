#include "inflate.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "cleanup.h"
#include "io.h"

#define IN_SIZE ((size_t)256 << 10)
#define STOP_MS 100
#define ZSTD_WINDOW_LOG 27

enum format { PLAIN, GZIP, ZSTD };

struct fb_inflate {
	int fd;
	enum format format;
	uint64_t packed;
	struct fb_inflate_options options;
	struct fb_digest digest;
	size_t in_used, in_length; /* in[in_used..in_length] is not unpacked yet */
	bool in_end;
	bool open_member; /* a member or frame has begun and not ended */
	bool in_header;	  /* of the member */
	struct isal_gzip_header header;
	struct inflate_state gzip;
	ZSTD_DCtx *zstd;
	uint8_t in[IN_SIZE];
};

static int damaged(struct fb_error *err, int line, const char *call, const char *detail)
{
	return fb_fail_code(err, FB_STAGE_INFLATE, line, EBADMSG, call, NULL, detail);
}

/* A pipe may stay silent for ever, and a thread in read(2) hears nothing. */
static int wait_for_input(struct fb_inflate *f, struct fb_error *err)
{
	struct pollfd input = {.fd = f->fd, .events = POLLIN};

	while (f->options.stop) {
		int n;

		if (*f->options.stop)
			return FB_FAIL_CODE(err, FB_STAGE_INFLATE, ECANCELED, "read", NULL, "stopped");
		n = poll(&input, 1, STOP_MS);
		if (n > 0 || (n < 0 && errno != EINTR))
			break;
	}
	return 0;
}

/* 0 at the end. */
static ssize_t take(struct fb_inflate *f, uint8_t *to, size_t room, struct fb_error *err)
{
	int r = wait_for_input(f, err);
	ssize_t got;

	if (r < 0)
		return r;
	do
		got = read(f->fd, to, room);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return FB_FAIL(err, FB_STAGE_INFLATE, "read", NULL);
	if ((uint64_t)got > f->options.max_packed - f->packed)
		return FB_FAIL_CODE(err, FB_STAGE_INFLATE, EFBIG, "read", NULL,
				    "the packed stream is larger than the limit");
	f->packed += (uint64_t)got;
	r = f->options.copy < 0 ? 0 : fb_write_all(f->options.copy, to, (size_t)got);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_INFLATE, -r, "write", NULL, NULL) : got;
}

/* Called with the buffer used up. `least` bytes or the end of the input. */
static int fill(struct fb_inflate *f, size_t least, struct fb_error *err)
{
	f->in_used = f->in_length = 0;
	while (f->in_length < least && !f->in_end) {
		ssize_t got = take(f, f->in + f->in_length, IN_SIZE - f->in_length, err);

		if (got < 0)
			return (int)got;
		f->in_end = got == 0;
		f->in_length += (size_t)got;
	}
	if (f->format != PLAIN)
		fb_digest_add(&f->digest, f->in, f->in_length);
	return 0;
}

static enum format sniff(const uint8_t *in, size_t length)
{
	if (length >= 2 && in[0] == 0x1f && in[1] == 0x8b)
		return GZIP;
	if (length >= 4 && memcmp(in, "\x28\xb5\x2f\xfd", 4) == 0)
		return ZSTD;
	if (length >= 4 && (in[0] & 0xf0) == 0x50 && memcmp(in + 1, "\x2a\x4d\x18", 3) == 0)
		return ZSTD; /* a skippable frame first */
	return PLAIN;
}

static int start(struct fb_inflate *f, struct fb_error *err)
{
	int r = fill(f, 4, err);

	if (r < 0)
		return r;
	f->format = sniff(f->in, f->in_length);
	if (f->format == PLAIN)
		return 0;
	fb_digest_add(&f->digest, f->in, f->in_length);
	if (f->format == GZIP) {
		isal_inflate_init(&f->gzip);
		return 0;
	}
	f->zstd = ZSTD_createDCtx();
	if (!f->zstd ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(f->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
		return FB_FAIL_CODE(err, FB_STAGE_INFLATE, ENOMEM, "ZSTD_createDCtx", NULL, NULL);
	return 0;
}

int fb_inflate_open(int fd, const struct fb_inflate_options *options,
		    struct fb_inflate **ret_inflate, struct fb_error *err)
{
	struct fb_inflate *f = malloc(sizeof(*f));
	int r;

	if (!f)
		return FB_FAIL_CODE(err, FB_STAGE_INFLATE, ENOMEM, "malloc", NULL, NULL);
	memset(f, 0, offsetof(struct fb_inflate, in));
	f->fd = fd;
	f->options = *options;
	fb_digest_begin(&f->digest);
	r = start(f, err);
	if (r < 0) {
		fb_inflate_close(f);
		return r;
	}
	*ret_inflate = f;
	return 0;
}

static const char *gzip_problem(int code)
{
	switch (code) {
	case ISAL_INCORRECT_CHECKSUM:
		return "the gzip checksum or length does not match";
	case ISAL_INVALID_WRAPPER:
	case ISAL_UNSUPPORTED_METHOD:
		return "what follows is not a gzip member";
	default:
		return "the gzip data is damaged";
	}
}

/* Between members: 1 when another begins, 0 at the end. */
static int next_member(struct fb_inflate *f, struct fb_error *err)
{
	bool padding = false;

	for (;;) {
		int r;

		for (; f->in_used < f->in_length && f->in[f->in_used] == 0; f->in_used++)
			padding = true;
		if (f->in_used < f->in_length)
			break;
		if (f->in_end)
			return 0;
		r = fill(f, 1, err);
		if (r < 0)
			return r;
	}
	if (padding)
		return damaged(err, __LINE__, "gzip", "data after the padding of a gzip stream");
	isal_inflate_reset(&f->gzip);
	f->gzip.crc_flag = ISAL_GZIP;
	isal_gzip_header_init(&f->header);
	f->open_member = f->in_header = true;
	return 1;
}

static ssize_t read_gzip(struct fb_inflate *f, uint8_t *to, size_t room, struct fb_error *err)
{
	struct inflate_state *state = &f->gzip;

	for (;;) {
		int r = f->open_member ? 1 : next_member(f, err);
		size_t got;

		if (r <= 0)
			return r;
		state->next_in = f->in + f->in_used;
		state->avail_in = (uint32_t)(f->in_length - f->in_used);
		state->next_out = to;
		state->avail_out = (uint32_t)room;
		/* isal_inflate would read the header as well, but where the input ends within it
		 * forgets which fields are to come. */
		r = f->in_header ? isal_read_gzip_header(state, &f->header) : isal_inflate(state);
		if (r != ISAL_DECOMP_OK && !(f->in_header && r == ISAL_END_INPUT))
			return damaged(err, __LINE__, "isal_inflate", gzip_problem(r));
		f->in_header = f->in_header && r == ISAL_END_INPUT;
		f->in_used = f->in_length - state->avail_in;
		got = room - state->avail_out;
		f->open_member = state->block_state != ISAL_BLOCK_FINISH;
		if (got)
			return (ssize_t)got;
		if (!f->open_member || f->in_used < f->in_length)
			continue;
		if (f->in_end)
			return damaged(err, __LINE__, "isal_inflate",
				       "the gzip stream is cut short");
		r = fill(f, 1, err);
		if (r < 0)
			return r;
	}
}

static ssize_t read_zstd(struct fb_inflate *f, uint8_t *to, size_t room, struct fb_error *err)
{
	for (;;) {
		ZSTD_inBuffer in = {f->in, f->in_length, f->in_used};
		ZSTD_outBuffer out = {to, room, 0};
		size_t left;
		int r;

		if (in.pos < in.size || f->open_member) {
			left = ZSTD_decompressStream(f->zstd, &out, &in);
			if (ZSTD_isError(left))
				return damaged(err, __LINE__, "ZSTD_decompressStream",
					       ZSTD_getErrorName(left));
			f->open_member = left != 0;
			f->in_used = in.pos;
		}
		if (out.pos)
			return (ssize_t)out.pos;
		if (f->in_used < f->in_length)
			continue;
		if (f->in_end && f->open_member)
			return damaged(err, __LINE__, "ZSTD_decompressStream",
				       "the zstd stream is cut short");
		if (f->in_end)
			return 0;
		r = fill(f, 1, err);
		if (r < 0)
			return r;
	}
}

/* What told the format is there already; the rest goes straight to the caller. */
static ssize_t read_plain(struct fb_inflate *f, uint8_t *to, size_t room, struct fb_error *err)
{
	size_t left = f->in_length - f->in_used;
	size_t n = left < room ? left : room;

	if (!left)
		return f->in_end ? 0 : take(f, to, room, err);
	memcpy(to, f->in + f->in_used, n);
	f->in_used += n;
	return (ssize_t)n;
}

ssize_t fb_inflate_read(struct fb_inflate *f, uint8_t *to, size_t room, struct fb_error *err)
{
	switch (f->format) {
	case GZIP:
		return read_gzip(f, to, room, err);
	case ZSTD:
		return read_zstd(f, to, room, err);
	default:
		return read_plain(f, to, room, err);
	}
}

bool fb_inflate_is_plain(const struct fb_inflate *f)
{
	return f->format == PLAIN;
}

uint64_t fb_inflate_taken(const struct fb_inflate *f)
{
	return f->packed;
}

void fb_inflate_packed(struct fb_inflate *f, uint8_t ret_digest[FB_DIGEST_SIZE])
{
	fb_digest_end(&f->digest, ret_digest);
}

void fb_inflate_close(struct fb_inflate *f)
{
	if (!f)
		return;
	ZSTD_freeDCtx(f->zstd);
	free(f);
}
