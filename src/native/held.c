#include "held.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "inroot.h"

void fb_held_begin(struct fb_held *held, int root)
{
	held->root = root;
	held->fd = -1;
	held->length = 0;
}

void fb_held_end(struct fb_held *held)
{
	fb_cleanup_fd(&held->fd);
}

bool fb_held_is_root(const char *path)
{
	return *path == '\0' || strcmp(path, ".") == 0;
}

/* How long the part before the last "/" is; -1: not a plain path. */
static ssize_t directory_of(const char *path)
{
	ssize_t directory = 0;
	const char *name = path;

	for (;;) {
		size_t length = strcspn(name, "/");

		if (length == 0 || (length <= 2 && strncmp(name, "..", length) == 0))
			return -1;
		if (name[length] == '\0')
			return directory;
		directory = name + length - path;
		name += length + 1;
	}
}

int fb_held_parent(struct fb_held *held, const char *path, const char **ret_leaf)
{
	ssize_t length = directory_of(path);
	int fd;

	if (length < 0)
		return -EINVAL;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	*ret_leaf = length ? path + length + 1 : path;
	if (length == 0)
		return held->root;
	if (held->fd >= 0 && held->length == (size_t)length && memcmp(held->path, path, (size_t)length) == 0)
		return held->fd;
	fb_held_end(held);
	memcpy(held->path, path, (size_t)length);
	held->path[length] = '\0';
	held->length = (size_t)length;
	fd = fb_inroot_open(held->root, held->path, O_PATH | O_DIRECTORY, true);
	held->fd = fd < 0 ? -1 : fd;
	return fd;
}

/* Asked before it is opened: opening a device may do something. */
int fb_held_open_file(struct fb_held *held, const char *path, struct stat *ret_st)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	fb_auto_close int fd = -1;
	const char *name;
	struct stat st;
	int parent = fb_held_parent(held, path, &name);

	if (parent < 0)
		return parent;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EINVAL;
	fd = openat(parent, name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(parent, name, flags);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_st = st;
	return fb_steal_fd(&fd);
}
