/* The pipeline below extraction: pieces that are reused only when nobody has them any more, jobs that all run, ends at any time. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "pool.h"
#include "stream.h"
#include "tar_extract.h"
#include "tar_make.h"

#define SIZE ((size_t)24 << 20) /* three times the ring */

static struct fb_error err;

/* ---- jobs ---- */

struct count_job {
	struct fb_job job;
	_Atomic unsigned *count;
};

static void count(struct fb_job *job)
{
	struct count_job *mine = (struct count_job *)job;

	atomic_fetch_add(mine->count, 1);
	free(mine);
}

static void test_pool(unsigned threads)
{
	_Atomic unsigned done = 0;
	struct fb_pool *pool = NULL;

	CHECK(fb_pool_open(threads, &pool, &err) == 0);
	for (int i = 0; i < 5000; i++) {
		struct count_job *job = malloc(sizeof(*job));

		*job = (struct count_job){.job = {.run = count}, .count = &done};
		fb_pool_submit(pool, &job->job);
		if (i % 1000 == 999) {
			fb_pool_drain(pool);
			CHECK(done == (unsigned)i + 1);
		}
	}
	CHECK(!fb_pool_help(pool));
	for (int i = 0; i < 3; i++) { /* too few to wake a thread */
		struct count_job *job = malloc(sizeof(*job));

		*job = (struct count_job){.job = {.run = count}, .count = &done};
		fb_pool_submit(pool, &job->job);
	}
	fb_pool_close(pool);
	CHECK(done == 5003);
}

/* ---- pieces ---- */

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 2654435761u >> 13);
}

static int source(void)
{
	uint8_t *data = malloc(SIZE);
	int fd;

	for (size_t i = 0; i < SIZE; i++)
		data[i] = byte_at(i);
	fd = mk_fd(data, SIZE);
	free(data);
	return fd;
}

static bool is_right(const uint8_t *data, size_t length, uint64_t offset)
{
	for (size_t i = 0; i < length; i += 97)
		if (data[i] != byte_at(offset + i))
			return false;
	return true;
}

struct held {
	struct fb_job job;
	struct fb_piece *piece;
	const uint8_t *data;
	size_t length;
	uint64_t offset;
	_Atomic unsigned *wrong;
};

static void look(struct fb_job *job)
{
	struct held *held = (struct held *)job;

	usleep(500); /* the ring goes round meanwhile */
	if (!is_right(held->data, held->length, held->offset))
		atomic_fetch_add(held->wrong, 1);
	fb_stream_release(held->piece);
	free(held);
}

/* Workers that are slower than the reader still see the bytes that they were given. */
static void test_held_pieces(void)
{
	const struct fb_stream_options options = {.max_packed = SIZE, .copy = -1, .digests = true};
	fb_auto_close int fd = source();
	struct fb_stream_result result;
	struct fb_stream *stream = NULL;
	_Atomic unsigned wrong = 0;
	struct fb_pool *pool = NULL;
	const uint8_t *data;
	uint8_t digest[32];
	uint64_t at = 0;
	ssize_t got;

	CHECK(fb_pool_open(3, &pool, &err) == 0);
	CHECK(fb_stream_open(fd, &options, &stream, &err) == 0);
	while ((got = fb_stream_next(stream, &data, &err)) > 0) {
		struct held *held = malloc(sizeof(*held));

		*held = (struct held){{.run = look}, fb_stream_hold(stream), data, (size_t)got, at, &wrong};
		fb_pool_submit(pool, &held->job);
		CHECK(is_right(data, (size_t)got, at));
		at += (uint64_t)got;
		while (!fb_stream_ready(stream) && fb_pool_help(pool))
			;
	}
	CHECK(got == 0 && at == SIZE);
	fb_pool_close(pool);
	CHECK(wrong == 0);
	CHECK(fb_stream_finish(stream, &result, &err) == 0);
	CHECK(result.packed_size == SIZE && result.unpacked_size == SIZE);
	lseek(fd, 0, SEEK_SET);
	CHECK(fb_digest_fd(fd, digest, NULL, &err) == 0);
	CHECK(memcmp(digest, result.packed_digest, 32) == 0 &&
	      memcmp(digest, result.unpacked_digest, 32) == 0);
	fb_stream_close(stream);
}

static void test_early_ends(void)
{
	struct fb_stream_options options = {.max_packed = SIZE, .copy = -1, .digests = true};
	fb_auto_close int fd = source();
	struct fb_watch watch = {0};
	struct fb_stream *stream = NULL;
	const uint8_t *data;
	ssize_t got = 1;

	for (int reads = 0; reads < 4; reads++) { /* nobody reads on */
		lseek(fd, 0, SEEK_SET);
		CHECK(fb_stream_open(fd, &options, &stream, &err) == 0);
		for (int i = 0; i < reads; i++)
			CHECK(fb_stream_next(stream, &data, &err) > 0);
		fb_stream_close(stream);
	}
	lseek(fd, 0, SEEK_SET);
	options.max_packed = SIZE - 1;
	CHECK(fb_stream_open(fd, &options, &stream, &err) == 0);
	while (got > 0)
		got = fb_stream_next(stream, &data, &err);
	CHECK(got == -EFBIG && err.code == EFBIG);
	fb_stream_close(stream);

	lseek(fd, 0, SEEK_SET);
	options.max_packed = SIZE;
	options.watch = &watch;
	watch.stop = 1;
	CHECK(fb_stream_open(fd, &options, &stream, &err) == -ECANCELED);
}

/* What is read can be kept; and a stop is heard although no byte comes. */
static void test_copy_and_silence(void)
{
	struct fb_stream_options options = {.max_packed = SIZE, .digests = true};
	fb_auto_close int fd = source(), copy = memfd_create("copy", MFD_CLOEXEC);
	struct fb_stream_result result;
	struct fb_watch watch = {0};
	struct fb_stream *stream = NULL;
	const uint8_t *data;
	uint8_t digest[32];
	int silent[2];

	options.copy = copy;
	CHECK(fb_stream_open(fd, &options, &stream, &err) == 0);
	while (fb_stream_next(stream, &data, &err) > 0)
		;
	CHECK(fb_stream_finish(stream, &result, &err) == 0);
	fb_stream_close(stream);
	lseek(copy, 0, SEEK_SET);
	CHECK(fb_digest_fd(copy, digest, NULL, &err) == 0 &&
	      memcmp(digest, result.packed_digest, 32) == 0);

	CHECK(pipe(silent) == 0 && write(silent[1], "0123456789", 10) == 10);
	options.copy = -1;
	options.watch = &watch;
	CHECK(fb_stream_open(silent[0], &options, &stream, &err) == 0);
	CHECK(!fb_stream_ready(stream));
	watch.stop = 1;
	alarm(20);
	CHECK(fb_stream_next(stream, &data, &err) == -ECANCELED);
	alarm(0);
	fb_stream_close(stream);
	close(silent[0]), close(silent[1]);
}

/* ---- a gate ---- */

static void *open_gate(void *argument)
{
	usleep(50000);
	CHECK(write(*(int *)argument, "x", 1) == 1);
	return NULL;
}

/* What the archive takes from below is taken when it is there, not before. */
static void test_gate(void)
{
	char path[] = "/tmp/test_stream.XXXXXX";
	fb_auto_close int root = -1, lower = -1, archive = -1;
	struct fb_extract_result result;
	struct make m = {0};
	struct stat st;
	pthread_t thread;
	int gate[2], base;

	CHECK(mkdtemp(path) != NULL && pipe(gate) == 0);
	base = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(base, "root", 0755) == 0 && mkdirat(base, "lower", 0755) == 0);
	CHECK(mkdirat(base, "lower/d", 0711) == 0);
	root = openat(base, "root", O_PATH);
	lower = openat(base, "lower", O_PATH);
	mk_file(&m, "d/file", "f");
	mk_end(&m);
	archive = mk_fd(m.data, m.length);
	const struct fb_extract_options options = {.lower = &lower, .lower_count = 1, .copy = -1, .gate = gate[0]};

	CHECK(pthread_create(&thread, NULL, open_gate, &gate[1]) == 0);
	CHECK(fb_extract(archive, root, &options, &result, &err) == 0);
	pthread_join(thread, NULL);
	CHECK(fstatat(base, "root/d", &st, 0) == 0 && (st.st_mode & 07777) == 0711);
	CHECK(poll(&(struct pollfd){.fd = gate[0], .events = POLLIN}, 1, 0) == 1);
	close(gate[0]), close(gate[1]), close(base);
	mk_free(&m);
	CHECK(fb_remove_tree(AT_FDCWD, path, &err) == 0);
}

int main(void)
{
	for (unsigned threads = 0; threads < 4; threads++)
		test_pool(threads);
	test_held_pieces();
	test_early_ends();
	test_copy_and_silence();
	test_gate();
	return failures != 0;
}
