#include "copy_regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

#include "cleanup.h"
#include "copy_data.h"

#define FAIL(call) FB_FAIL_CODE(err, FB_STAGE_WRITE, errno, (call), NULL, NULL)

static int refuse_directory(struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_WRITE, EISDIR, "copy", NULL, "cannot overwrite directory with non-directory");
}

/* What is held is meant, not what has its name now. */
static int open_held(int held)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	fd = open(path, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

static int create(int dirfd, const char *name)
{
	return openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int fill(int held, const struct fb_attributes *wanted, int to, uint64_t *ret_size, struct fb_error *err)
{
	fb_auto_close int from = open_held(held);
	int r;

	if (from < 0)
		return FAIL("open");
	r = fb_copy_data(from, to, ret_size, err);
	return r < 0 ? r : fb_copy_attributes(from, to, wanted, err);
}

/* Some file systems (ext4) write out what a rename puts in place of another file, and make the caller wait for it, unless its blocks are
 * allocated already. Whoever can't do that says so when it is written. */
static void allocate(int to, const struct stat *st)
{
	if (st->st_size && !fb_has_holes(st))
		(void)fallocate(to, FALLOC_FL_KEEP_SIZE, 0, st->st_size);
}

static int replace(int held, const struct stat *st, const struct fb_attributes *wanted, int dirfd, const char *name, uint64_t *ret_size,
		   struct fb_error *err)
{
	fb_auto_close int to = -1;
	char temporary[32];
	struct stat there;
	uint64_t mark = 0;
	int r;

	if (fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
		return refuse_directory(err);
	if (getrandom(&mark, sizeof(mark), 0) < 0)
		return FAIL("getrandom");
	snprintf(temporary, sizeof(temporary), ".fastbox-%016llx", (unsigned long long)mark);
	to = create(dirfd, temporary);
	if (to < 0)
		return FAIL("openat");
	allocate(to, st);
	r = fill(held, wanted, to, ret_size, err);
	if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		r = errno == EISDIR ? refuse_directory(err) : FAIL("renameat");
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0);
	return r;
}

int fb_copy_regular(int held, const struct stat *st, const struct fb_attributes *wanted, int dirfd, const char *name, uint64_t *ret_size,
		    struct fb_error *err)
{
	fb_auto_close int to = create(dirfd, name);
	int r;

	if (to < 0 && errno == EEXIST)
		return replace(held, st, wanted, dirfd, name, ret_size, err);
	if (to < 0)
		return FAIL("openat");
	r = fill(held, wanted, to, ret_size, err);
	if (r < 0)
		(void)unlinkat(dirfd, name, 0);
	return r;
}
