#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "sys.h"

int fb_write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

ssize_t fb_read_all(int fd, void *buffer, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, (char *)buffer + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

ssize_t fb_read_file(int dirfd, const char *path, size_t max, char **ret_text)
{
	fb_auto_close int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	fb_auto_free char *text = NULL;
	struct stat st;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	/* One byte more than the size, so that a file that grows meanwhile is noticed. */
	text = malloc((size_t)st.st_size + 2);
	if (!text)
		return -ENOMEM;
	got = fb_read_all(fd, text, (size_t)st.st_size + 1);
	if (got < 0)
		return got;
	if ((size_t)got > max)
		return -EFBIG;
	text[got] = '\0';
	*ret_text = text;
	text = NULL;
	return got;
}

int fb_write_file(int dirfd, const char *path, const void *data, size_t length, int sync)
{
	fb_auto_close int fd = -1;
	char temporary[512];
	int r;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fb_write_all(fd, data, length);
	if (r == 0 && sync && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}

void fb_close_from(int first)
{
	fb_auto_dir DIR *dir = NULL;
	struct dirent *entry;

	if (fb_close_range((unsigned)first, ~0u, 0) == 0)
		return;
	/* The kernel lists them by number, so that closing one loses none of those to come. */
	dir = opendir("/proc/self/fd");
	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (fd >= first && fd != dirfd(dir))
			close(fd);
	}
}
