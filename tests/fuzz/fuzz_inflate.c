/* Packed streams against another reader: gzip against zlib, member by member by the rules of inflate.h, and zstd against its
 * library, fed in other pieces. Both accept and give the same bytes, or both refuse.
 *
 * The first byte of the input picks the size of the pieces in which the rest arrives, whether there is a limit, and the room
 * for what is unpacked.
 */
#include <pthread.h>
#include <signal.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "digest.h"
#include "fuzz.h"
#include "inflate.h"

#define OUT_MAX ((size_t)4 << 20) /* a reader stops there, as one that extracts stops at its limit */
#define SMALL_PIECES 120
#define IN_MAX ((size_t)128 << 10)
#define ROOM_MIN ((size_t)1000) /* for what is unpacked, at a time */
#define ROOM_MAX ((size_t)256 << 10)

enum verdict { REFUSED, ACCEPTED, NO_VERDICT }; /* none: longer than OUT_MAX, or of what the two are known to differ in */

struct outcome {
	enum verdict verdict;
	uint8_t *data;
	size_t length;
};

static uint8_t mine_data[OUT_MAX + ROOM_MAX], theirs_data[OUT_MAX];

struct feed {
	const uint8_t *data;
	size_t size, piece;
	int pipe;
};

/* The first pieces as asked for, then larger ones; none is more than what is read at a time, for the rest would be lost. Nobody
 * reads on after a failure: then the pipe is broken. */
static void *feed(void *argument)
{
	struct feed *f = argument;

	for (unsigned packet = 0; f->size; packet++) {
		size_t wish = packet < SMALL_PIECES ? f->piece : ROOM_MIN, n = f->size < wish ? f->size : wish;

		if (write(f->pipe, f->data, n) != (ssize_t)n)
			break;
		f->data += n;
		f->size -= n;
	}
	close(f->pipe);
	return NULL;
}

static void check_packed(struct fb_inflate *inflate, const uint8_t *data, size_t size)
{
	uint8_t wanted[FB_DIGEST_SIZE], found[FB_DIGEST_SIZE];
	struct fb_digest digest;

	stop_unless(fb_inflate_taken(inflate) == size);
	if (fb_inflate_is_plain(inflate))
		return;
	fb_inflate_packed(inflate, found);
	fb_digest_begin(&digest);
	fb_digest_add(&digest, data, size);
	fb_digest_end(&digest, wanted);
	stop_unless(memcmp(wanted, found, sizeof(wanted)) == 0);
}

static struct outcome mine(const uint8_t *data, size_t size, size_t piece, size_t room, uint64_t max_packed, struct fb_error *err)
{
	struct outcome outcome = {REFUSED, mine_data, 0};
	struct feed f = {.data = data, .size = size, .piece = piece};
	pthread_t thread;
	int ends[2];
	struct fb_inflate *inflate = NULL;
	ssize_t got = 0;

	if (piece) { /* a pipe of packets: a read gives one */
		stop_unless(pipe2(ends, O_CLOEXEC | O_DIRECT) == 0);
		f.pipe = ends[1];
		stop_unless(pthread_create(&thread, NULL, feed, &f) == 0);
	} else {
		ends[0] = mk_fd(data, size);
	}
	const struct fb_inflate_options options = {.max_packed = max_packed, .copy = -1};

	if (fb_inflate_open(ends[0], &options, &inflate, err) == 0) {
		while (outcome.length <= OUT_MAX && (got = fb_inflate_read(inflate, mine_data + outcome.length, room, err)) > 0) {
			stop_unless((size_t)got <= room);
			outcome.length += (size_t)got;
		}
		outcome.verdict = got < 0 ? REFUSED : outcome.length > OUT_MAX ? NO_VERDICT : ACCEPTED;
		if (outcome.verdict == ACCEPTED)
			check_packed(inflate, data, size);
		fb_inflate_close(inflate);
	}
	close(ends[0]);
	if (piece)
		pthread_join(thread, NULL);
	stop_unless(outcome.verdict != REFUSED || (err->code > 0 && err->call[0]));
	return outcome;
}

/* What zlib refuses and ISA-L need not. Reserved bits of the flags: RFC 1952 has them refused, Go's reader, and so docker, ignores
 * them, too. A code with unused room: zlib refuses the table, ISA-L the data that leads there; if none does, the checksum fits. */
static bool may_differ(const char *message)
{
	static const char *const known[] = {"unknown header flags set", "invalid distances set", "invalid literal/lengths set",
					    "invalid code lengths set"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (message && strcmp(message, known[i]) == 0)
			return true;
	return false;
}

/* One member from `*at` on. */
static enum verdict zlib_member(const uint8_t *data, size_t size, size_t *at, struct outcome *out)
{
	z_stream z = {0};
	int r;

	stop_unless(inflateInit2(&z, 15 + 16) == Z_OK);
	z.next_in = (uint8_t *)data + *at;
	z.avail_in = (uInt)(size - *at);
	z.next_out = out->data + out->length;
	z.avail_out = (uInt)(OUT_MAX - out->length);
	r = inflate(&z, Z_FINISH);
	*at = size - z.avail_in;
	out->length = OUT_MAX - z.avail_out;
	inflateEnd(&z); /* z.msg stays: it is a constant */
	if (r == Z_STREAM_END)
		return ACCEPTED;
	return z.avail_out == 0 || may_differ(z.msg) ? NO_VERDICT : REFUSED;
}

/* Members, then zero bytes, then nothing. */
static struct outcome by_zlib(const uint8_t *data, size_t size)
{
	struct outcome out = {ACCEPTED, theirs_data, 0};
	size_t at = 0;

	while (at < size && out.verdict == ACCEPTED) {
		if (at && data[at] == 0) {
			while (at < size && data[at] == 0)
				at++;
			if (at < size)
				out.verdict = REFUSED;
			return out;
		}
		out.verdict = zlib_member(data, size, &at, &out);
	}
	return out;
}

/* A byte at a time: so the library holds the data to every rule. */
static struct outcome by_zstd(const uint8_t *data, size_t size)
{
	struct outcome out = {ACCEPTED, theirs_data, 0};
	ZSTD_outBuffer to = {theirs_data, OUT_MAX, 0};
	ZSTD_DCtx *context = ZSTD_createDCtx();
	size_t left = 0;

	for (size_t at = 0; at < size && !ZSTD_isError(left) && to.pos < to.size; at++) {
		ZSTD_inBuffer in = {data + at, 1, 0};

		left = ZSTD_decompressStream(context, &to, &in);
		while (in.pos < in.size && !ZSTD_isError(left) && to.pos < to.size)
			left = ZSTD_decompressStream(context, &to, &in);
	}
	ZSTD_freeDCtx(context);
	out.length = to.pos;
	out.verdict = to.pos == to.size ? NO_VERDICT : left ? REFUSED : ACCEPTED;
	return out;
}

/* Given a whole frame the library lets blocks pass that are larger than the format allows. */
static struct outcome by_zstd_at_once(const uint8_t *data, size_t size)
{
	struct outcome out = {ACCEPTED, theirs_data, 0};
	size_t r = ZSTD_decompress(theirs_data, OUT_MAX, data, size);

	if (ZSTD_isError(r))
		out.verdict = ZSTD_getErrorCode(r) == ZSTD_error_dstSize_tooSmall ? NO_VERDICT : REFUSED;
	else
		out.length = r;
	return out;
}

static bool is_gzip(const uint8_t *data, size_t size)
{
	return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static bool is_zstd(const uint8_t *data, size_t size)
{
	return size >= 4 && (memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0 || ((data[0] & 0xf0) == 0x50 && memcmp(data + 1, "\x2a\x4d\x18", 3) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned short pieces[] = {0, 1, 2, 3, 7, 64, 511, 1000};
	static const size_t rooms[] = {ROOM_MAX, ROOM_MAX, ROOM_MIN, 4096};
	struct fb_error err = {0};
	struct outcome ours, theirs;
	uint64_t limit;
	uint8_t mode;

	if (size == 0)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	mode = *data++;
	size--;
	size = size < IN_MAX ? size : IN_MAX;
	limit = mode & 8 ? size / 2 : UINT64_MAX;
	ours = mine(data, size, pieces[mode & 7], rooms[mode >> 4 & 3], limit, &err);
	if (limit < size) {
		stop_unless(ours.verdict != ACCEPTED);
		return 0;
	}
	theirs = is_gzip(data, size)   ? by_zlib(data, size)
		 : is_zstd(data, size) ? by_zstd(data, size)
				       : (struct outcome){ACCEPTED, (uint8_t *)data, size};
	if (is_zstd(data, size) && ours.verdict == ACCEPTED && theirs.verdict == REFUSED)
		theirs = by_zstd_at_once(data, size);
	if (ours.verdict == NO_VERDICT || theirs.verdict == NO_VERDICT)
		return 0;
	if (ours.verdict != theirs.verdict)
		fprintf(stderr, "ours %d (%s), theirs %d\n", ours.verdict, err.detail, theirs.verdict);
	stop_unless(ours.verdict == theirs.verdict);
	stop_unless(ours.verdict == REFUSED || (ours.length == theirs.length && memcmp(ours.data, theirs.data, ours.length) == 0));
	return 0;
}

#ifdef FUZZ_STANDALONE

static uint8_t plain[256 << 10];

/* Text that packs well, with stretches that don't and long runs. */
static size_t make_plain(size_t most)
{
	size_t length = random_below(random_below(8) ? 600 : most), at = 0;

	while (at < length) {
		size_t run = 1 + random_below(random_below(4) ? 20 : 5000), kind = random_below(4);

		for (; run && at < length; run--, at++)
			plain[at] = kind == 0   ? (uint8_t)random_below(256)
				    : kind == 1 ? 'a'
				    : kind == 2 ? (uint8_t)("tar layer "[at % 10])
				    : at > 40   ? plain[at - 40]
						: 0;
	}
	return length;
}

static void little(struct make *m, uint64_t value, unsigned bytes)
{
	for (; bytes--; value >>= 8) {
		uint8_t byte = (uint8_t)value;

		mk_bytes(m, &byte, 1);
	}
}

static void deflate_to(struct make *m, size_t length)
{
	static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
	size_t before = m->length, room = length + length / 100 + 4096;
	z_stream z = {0};

	stop_unless(deflateInit2(&z, (int)random_below(10), Z_DEFLATED, -9 - (int)random_below(7), 1 + (int)random_below(9),
				 strategies[random_below(5)]) == Z_OK);
	mk_bytes(m, NULL, room);
	z.next_in = plain;
	z.avail_in = (uInt)length;
	z.next_out = m->data + before;
	z.avail_out = (uInt)room;
	if (random_below(4) == 0) { /* an empty stored block in the middle */
		z.avail_in = (uInt)(length / 2);
		stop_unless(deflate(&z, Z_FULL_FLUSH) == Z_OK || length < 2);
		z.avail_in += (uInt)(length - length / 2);
	}
	stop_unless(deflate(&z, Z_FINISH) == Z_STREAM_END);
	m->length = before + z.total_out;
	deflateEnd(&z);
}

/* A member with any of the header's fields; one in eight has something wrong in it. */
static void add_member(struct make *m)
{
	size_t length = make_plain(sizeof(plain)), begin = m->length;
	uint8_t flags = (uint8_t)(random_below(2) ? 0 : random_below(32));
	unsigned wrong = (unsigned)random_below(64);

	if (wrong == 0)
		flags |= (uint8_t)(0x20 << random_below(3));
	mk_bytes(m, "\x1f\x8b\x08", 3);
	mk_bytes(m, &flags, 1);
	little(m, random_below(1u << 31), 4);
	little(m, random_below(1 << 16), 2);
	if (flags & 4) {
		size_t extra = random_below(random_below(8) ? 30 : 3000);

		little(m, extra, 2);
		mk_bytes(m, plain, extra);
	}
	for (uint8_t flag = 8; flag <= 16; flag <<= 1)
		if (flags & flag) {
			size_t name = random_below(random_below(8) ? 20 : 2000);

			for (; name; name--)
				little(m, 1 + random_below(255), 1);
			little(m, 0, 1);
		}
	if (flags & 2)
		little(m, crc32(0, m->data + begin, (uInt)(m->length - begin)) ^ (wrong == 1), 2);
	deflate_to(m, length);
	little(m, crc32(0, plain, (uInt)length) ^ (wrong == 2), 4);
	little(m, length + (wrong == 3), 4);
}

static void add_frame(struct make *m)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t length = make_plain(sizeof(plain)), room = ZSTD_compressBound(length), before = m->length, got;

	ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, (int)random_below(12) - 3);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, (int)random_below(2));
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, (int)random_below(2));
	if (random_below(4) == 0)
		ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 10 + (int)random_below(18));
	mk_bytes(m, NULL, room);
	got = ZSTD_compress2(context, m->data + before, room, plain, length);
	stop_unless(!ZSTD_isError(got));
	m->length = before + got;
	ZSTD_freeCCtx(context);
}

static void add_skippable(struct make *m)
{
	size_t length = random_below(random_below(8) ? 20 : 5000);

	little(m, 0x184d2a50 + random_below(16), 4);
	little(m, length + (random_below(16) == 0), 4);
	mk_bytes(m, NULL, length);
}

static void make_gzip(struct make *m)
{
	for (uint64_t members = 1 + random_below(3); members--;)
		add_member(m);
	if (random_below(4) == 0)
		mk_bytes(m, NULL, random_below(random_below(4) ? 600 : 9000));
	if (random_below(16) == 0)
		mk_bytes(m, plain, 1 + random_below(16)); /* not padding */
	if (random_below(32) == 0)
		add_member(m); /* after the padding */
}

static void make_zstd(struct make *m)
{
	for (uint64_t frames = 1 + random_below(3); frames--;)
		random_below(3) ? add_frame(m) : add_skippable(m);
	if (random_below(16) == 0)
		mk_bytes(m, plain, 1 + random_below(16));
}

/* Changed data with the checks of before would be refused at the end of the member, and its bytes never be compared: where the
 * first member's data still unpacks, its checksum and length are made to fit. */
static void mend(struct make *m)
{
	z_stream z = {0};
	size_t header = 11; /* the mode byte and a member's header without fields */

	if (m->length < header + 8 || !is_gzip(m->data + 1, m->length - 1) || m->data[4] || inflateInit2(&z, -15) != Z_OK)
		return;
	z.next_in = m->data + header;
	z.avail_in = (uInt)(m->length - header);
	z.next_out = theirs_data;
	z.avail_out = OUT_MAX;
	if (inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in >= 8) {
		uint32_t checks[2] = {(uint32_t)crc32(0, theirs_data, (uInt)z.total_out), (uint32_t)z.total_out};

		memcpy(z.next_in, checks, sizeof(checks)); /* little-endian, as this machine */
	}
	inflateEnd(&z);
}

static void change_bytes(struct make *m)
{
	for (uint64_t changes = 1 + random_below(4); changes--;) {
		/* Headers are at the beginning: half of the changes are made there. */
		size_t at = 1 + random_below(random_below(2) && m->length > 40 ? 40 : m->length - 1);

		switch (random_below(4)) {
		case 0:
			m->data[at] ^= (uint8_t)(1u << random_below(8));
			break;
		case 1:
			m->data[at] = (uint8_t)random_below(256);
			break;
		case 2:
			if (random_below(4) == 0)
				m->length = at + 1;
			break;
		default:
			if (m->length - at > 2)
				memmove(m->data + at, m->data + at + 1, m->length-- - at - 1);
		}
	}
}

void fuzz_begin(void)
{
	for (; seed_count < 8; seed_count++) {
		little(&seeds[seed_count], (uint64_t)seed_count, 1);
		seed_count & 1 ? make_gzip(&seeds[seed_count]) : make_zstd(&seeds[seed_count]);
	}
	little(&seeds[seed_count], 0, 1);
	mk_bytes(&seeds[seed_count++], "plain bytes", 11);
}

const struct make *fuzz_seed(void)
{
	return &seeds[random_below((uint64_t)seed_count)];
}

/* Mostly a new stream, since the ways to make one are more than the seeds. */
void fuzz_mutate(struct make *m)
{
	if (random_below(8)) {
		m->length = 1;
		random_below(3) ? make_gzip(m) : make_zstd(m);
	}
	m->data[0] = (uint8_t)(random_below(4) << 4 | (random_below(32) ? 0 : 8) | random_below(8));
	if (m->length > 2 && random_below(2)) {
		change_bytes(m);
		if (random_below(2))
			mend(m);
	}
}

void fuzz_end(void)
{
}

#endif
