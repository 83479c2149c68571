/* Packing: what comes out is what went in, the same bytes whatever the number of threads. */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "inflate.h"

#define BLOCK ((size_t)1 << 20)

/* Texts that repeat, noise, and zeros: every way that deflate has. */
static uint8_t *make_data(size_t size)
{
	uint8_t *data = malloc(size + 1);
	uint32_t state = 12345;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525 + 1013904223;
		data[i] = (i >> 16) % 3 == 0   ? (uint8_t)(state >> 24)
			  : (i >> 16) % 3 == 1 ? "the same words again "[i % 21]
					       : 0;
	}
	return data;
}

static int pack(const uint8_t *data, size_t size, enum fb_packing packing, unsigned threads,
		size_t piece, struct fb_pack_result *ret_result)
{
	struct fb_error err = {0};
	fb_auto_pack struct fb_pack *p = NULL;
	int fd = memfd_create("packed", MFD_CLOEXEC);

	CHECK(fb_pack_open(fd, packing, threads, &p, &err) == 0);
	for (size_t at = 0; at < size; at += piece)
		CHECK(fb_pack_write(p, data + at, size - at < piece ? size - at : piece, &err) ==
		      0);
	CHECK(fb_pack_end(p, ret_result, &err) == 0);
	CHECK(err.code == 0);
	CHECK(lseek(fd, 0, SEEK_END) == (off_t)ret_result->packed_size);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void unpack(int fd, const uint8_t *data, size_t size)
{
	struct fb_inflate *inflate;
	struct fb_error err = {0};
	const struct fb_inflate_options options = {.max_packed = UINT64_MAX, .copy = -1};
	uint8_t piece[65536];
	size_t at = 0;
	ssize_t got;

	CHECK(fb_inflate_open(fd, &options, &inflate, &err) == 0);
	while ((got = fb_inflate_read(inflate, piece, sizeof(piece), &err)) > 0) {
		CHECK(at + (size_t)got <= size && memcmp(piece, data + at, (size_t)got) == 0);
		at += (size_t)got;
	}
	CHECK(got == 0 && at == size);
	fb_inflate_close(inflate);
}

static void test_sizes(void)
{
	static const size_t sizes[] = {0, 1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK,
				       11 * BLOCK + 77};
	uint8_t *data = make_data(12 * BLOCK);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int packing = FB_PACK_NONE; packing <= FB_PACK_ZSTD; packing++) {
			struct fb_pack_result first, other;
			int fd = pack(data, sizes[i], packing, 1, 65536, &first);

			CHECK(first.size == sizes[i]);
			unpack(fd, data, sizes[i]);
			close(fd);
			for (unsigned threads = 2; threads <= 9; threads += 3) {
				close(pack(data, sizes[i], packing, threads, 1000003, &other));
				CHECK(memcmp(&first, &other, sizeof(first)) == 0);
			}
			if (packing == FB_PACK_NONE)
				CHECK(memcmp(first.packed_digest, first.diff_digest, 32) == 0);
		}
	free(data);
}

static void test_gzip_header(void)
{
	static const uint8_t wanted[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	struct fb_pack_result result;
	int fd = pack((const uint8_t *)"x", 1, FB_PACK_GZIP, 1, 1, &result);
	uint8_t start[10];

	CHECK(read(fd, start, sizeof(start)) == 10 && memcmp(start, wanted, 10) == 0);
	close(fd);
}

/* The stream breaks in the middle, with blocks under way. */
static void test_no_room(void)
{
	uint8_t *data = make_data(16 * BLOCK);

	for (int packing = FB_PACK_NONE; packing <= FB_PACK_ZSTD; packing++) {
		struct fb_error err = {0};
		fb_auto_pack struct fb_pack *p = NULL;
		struct fb_pack_result result;
		int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
		int r = fb_pack_open(fd, packing, 4, &p, &err);

		for (int i = 0; i < 16 && r == 0; i++)
			r = fb_pack_write(p, data + (size_t)i * BLOCK, BLOCK, &err);
		if (r == 0)
			r = fb_pack_end(p, &result, &err);
		CHECK(r == -ENOSPC && err.code == ENOSPC && err.stage == FB_STAGE_PACK);
		close(fd);
	}
	free(data);
}

/* Given up before the end: nothing hangs, nothing leaks (the sanitizers look). */
static void test_given_up(void)
{
	uint8_t *data = make_data(6 * BLOCK);
	int fd = memfd_create("packed", MFD_CLOEXEC);

	for (int i = 0; i < 8; i++) {
		struct fb_error err = {0};
		fb_auto_pack struct fb_pack *p = NULL;

		CHECK(fb_pack_open(fd, FB_PACK_GZIP, 3, &p, &err) == 0);
		CHECK(fb_pack_write(p, data, (size_t)i * BLOCK * 3 / 4, &err) == 0);
	}
	close(fd);
	free(data);
}

int main(void)
{
	test_sizes();
	test_gzip_header();
	test_no_room();
	test_given_up();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
