#include "copy_data.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define CHUNK ((size_t)16 << 20)
#define BUFFER ((size_t)1 << 20)
#define SMALL ((off_t)64 << 10)
#define BLOCK ((off_t)512)

#define FAIL(code, call) FB_FAIL_CODE(err, FB_STAGE_WRITE, (code), (call), NULL, NULL)

/* What a file system answers that does not know the call, or not for this pair. */
static bool is_refused(int code)
{
	return code == EXDEV || code == EINVAL || code == EOPNOTSUPP || code == ENOSYS || code == EBADF ||
	       code == ETXTBSY || code == EPERM;
}

static int copy_by_buffer(int from, int to, off_t at, off_t end, struct fb_error *err)
{
	size_t room = end - at < (off_t)BUFFER ? (size_t)(end - at) : BUFFER;
	fb_auto_free char *buffer = malloc(room);

	if (!buffer)
		return FAIL(ENOMEM, "malloc");
	while (at < end) {
		size_t want = end - at < (off_t)room ? (size_t)(end - at) : room;
		ssize_t got = pread(from, buffer, want, at);

		if (got < 0)
			return FAIL(errno, "pread");
		if (got == 0)
			return 0;
		for (ssize_t done = 0, n; done < got; done += n) {
			n = pwrite(to, buffer + done, (size_t)(got - done), at + done);
			if (n < 0)
				return FAIL(errno, "pwrite");
		}
		at += got;
	}
	return 0;
}

/* Between two file systems the kernel copies by a pipe of its own: sendfile reads ahead in larger pieces than that. */
static int copy_range(int from, int to, off_t at, off_t end, bool one_device, struct fb_error *err)
{
	while (at < end) {
		size_t want = end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
		off_t in = at, out = at;
		ssize_t n;

		if (one_device) {
			n = copy_file_range(from, &in, to, &out, want, 0);
		} else {
			if (lseek(to, at, SEEK_SET) < 0)
				return FAIL(errno, "lseek");
			n = sendfile(to, from, &in, want);
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !is_refused(errno))
			return FAIL(errno, one_device ? "copy_file_range" : "sendfile");
		/* A file of procfs or sysfs yields nothing to either. */
		if (n <= 0)
			return copy_by_buffer(from, to, at, end, err);
		at += n;
	}
	return 0;
}

/* Next stretch of data at or behind `*at`: 1, or 0 when only holes are left. */
static int next_data(int from, off_t size, off_t *at, off_t *ret_end)
{
	off_t data = lseek(from, *at, SEEK_DATA);

	if (data < 0 && errno == ENXIO)
		return 0;
	if (data < 0)
		data = *at; /* it knows of no holes */
	*ret_end = lseek(from, data, SEEK_HOLE);
	if (*ret_end < 0 || *ret_end > size)
		*ret_end = size;
	*at = data;
	return data < size;
}

bool fb_has_holes(const struct stat *st)
{
	return st->st_blocks < (st->st_size + BLOCK - 1) / BLOCK;
}

int fb_copy_data(int from, int to, uint64_t *ret_size, struct fb_error *err)
{
	struct stat source, target;
	off_t at = 0, end = 0;
	int r;

	if (fstat(from, &source) < 0)
		return FAIL(errno, "fstat");
	*ret_size = (uint64_t)source.st_size;
	if (source.st_size == 0)
		return 0;
	/* A small file is copied in fewer calls than it takes to ask for holes and whether its blocks can be shared. */
	if (source.st_size <= SMALL && !fb_has_holes(&source))
		return copy_by_buffer(from, to, 0, source.st_size, err);
	if (fstat(to, &target) < 0)
		return FAIL(errno, "fstat");
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while (at < source.st_size && next_data(from, source.st_size, &at, &end)) {
		r = copy_range(from, to, at, end, source.st_dev == target.st_dev, err);
		if (r < 0)
			return r;
		at = end;
	}
	return ftruncate(to, source.st_size) < 0 ? FAIL(errno, "ftruncate") : 0;
}
