#include "file_digest.h"

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "held.h"
#include "share.h"
#include "times.h"

/* It stays in a processor's own cache between the read and the hashing. */
#define BUFFER ((size_t)256 << 10)
#define TRIES 4

#define FAIL(reader, code, call, detail)                                                           \
	FB_FAIL_CODE((reader)->err, FB_STAGE_DIGEST, (code), (call), (reader)->path, (detail))

struct digesting {
	int root;
	const char *const *paths;
	struct fb_file_digest *digests;
};

struct reader { /* of one thread */
	struct fb_held held;
	const char *path;
	struct fb_error *err;
	uint8_t buffer[BUFFER];
};

static int read_into(struct reader *reader, int fd, off_t expected, struct fb_digest *digest, uint64_t *ret_size)
{
	off_t at = 0;

	/* A file that has grown is seen by its times: no need to read on for that. */
	while (at < expected) {
		ssize_t got = pread(fd, reader->buffer, sizeof(reader->buffer), at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return FAIL(reader, errno, "read", NULL);
		if (got == 0)
			break;
		fb_digest_add(digest, reader->buffer, (size_t)got);
		at += got;
	}
	*ret_size = (uint64_t)at;
	return 0;
}

/* 1: done; 0: it changed meanwhile. */
static int try_digest(struct reader *reader, int fd, const struct stat *before, struct stat *ret_after,
		      struct fb_file_digest *result)
{
	struct fb_digest digest;
	int r;

	fb_digest_begin(&digest);
	r = read_into(reader, fd, before->st_size, &digest, &result->size);
	if (r < 0)
		return r;
	fb_digest_end(&digest, result->digest);
	if (fstat(fd, ret_after) < 0)
		return FAIL(reader, errno, "fstat", NULL);
	result->mtime_ns = fb_nanoseconds(before->st_mtim);
	result->ctime_ns = fb_nanoseconds(before->st_ctim);
	return ret_after->st_size == before->st_size && fb_nanoseconds(ret_after->st_mtim) == result->mtime_ns &&
	       fb_nanoseconds(ret_after->st_ctim) == result->ctime_ns;
}

static int digest_path(struct reader *reader, struct fb_file_digest *result)
{
	struct stat before, after;
	fb_auto_close int fd = fb_held_open_file(&reader->held, reader->path, &before);

	if (fd == -EINVAL)
		return FAIL(reader, EINVAL, "open", "not a regular file");
	if (fd < 0)
		return FAIL(reader, -fd, "open", NULL);
	if (before.st_size > (off_t)sizeof(reader->buffer))
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (int i = 0; i < TRIES; i++) {
		int r = try_digest(reader, fd, &before, &after, result);

		if (r != 0)
			return r < 0 ? r : 0;
		before = after;
	}
	return FAIL(reader, ESTALE, "read", "changed while the build read it");
}

static void work(struct fb_share *share, void *context)
{
	const struct digesting *digesting = context;
	fb_auto_free struct reader *reader = malloc(sizeof(*reader));
	struct fb_error err;
	size_t at = 0, to;
	int r = 0;

	if (!reader) {
		(void)FB_FAIL_CODE(&err, FB_STAGE_DIGEST, ENOMEM, "malloc", NULL, NULL);
		fb_share_fail(share, 0, &err);
		return;
	}
	reader->err = &err;
	fb_held_begin(&reader->held, digesting->root);
	while (r == 0 && fb_share_take(share, &at, &to))
		for (; r == 0 && at < to; at++) {
			reader->path = digesting->paths[at];
			r = digest_path(reader, &digesting->digests[at]);
			if (r < 0)
				fb_share_fail(share, at, &err);
		}
	fb_held_end(&reader->held);
}

int fb_digest_files(int root, const char *const *paths, size_t count, unsigned threads, struct fb_file_digest *digests,
		    struct fb_error *err)
{
	struct digesting digesting = {.root = root, .paths = paths, .digests = digests};

	return fb_share_run(count, threads, work, &digesting, err);
}
