/* What the layers below hold, seen through each other as overlayfs shows it, and copied up where an
 * entry of this layer builds on it: a parent directory that the archive does not list, the target
 * of a hard link that an earlier layer brought. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "inroot.h"
#include "tar_extract.h"
#include "tar_place.h"

#define PROC_PATH 32
#define CHUNK ((size_t)1 << 24)

/* An O_PATH descriptor answers no fgetxattr: its name in /proc does, and is no name of an image's.
 */
static const char *proc_path(int fd, char path[PROC_PATH])
{
	snprintf(path, PROC_PATH, "/proc/self/fd/%d", fd);
	return path;
}

static bool is_opaque(int fd)
{
	char path[PROC_PATH], value;

	return getxattr(proc_path(fd, path), "trusted.overlay.opaque", &value, 1) == 1 &&
	       value == 'y';
}

/* `path` in one tree: an O_PATH descriptor, -ENOENT: not there, nor may it be looked for further
 * below; -EAGAIN: this layer says nothing about it. */
static int walk_in(int tree, const char *path)
{
	fb_auto_close int at = fb_inroot_step(tree, ".", O_PATH | O_DIRECTORY);
	bool opaque = false;

	while (at >= 0) {
		size_t length = strcspn(path, "/");
		char name[NAME_MAX + 1];
		struct stat st;
		int next;

		memcpy(name, path, length);
		name[length] = '\0';
		opaque = opaque || is_opaque(at);
		next = fb_inroot_step(at, name, O_PATH | O_NOFOLLOW);
		if (next == -ENOENT)
			return opaque ? -ENOENT : -EAGAIN;
		close(at);
		at = next;
		if (at < 0 || fstat(at, &st) < 0)
			break;
		if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
			return -ENOENT;
		path += length;
		if (*path == '\0')
			return fb_steal_fd(&at);
		if (!S_ISDIR(st.st_mode))
			return -ENOENT;
		path++;
	}
	return at < 0 ? at : -EIO;
}

/* What is there is found by one call; only what is missing has to be walked to, for the reason why. */
static int find_in(int tree, const char *path)
{
	fb_auto_close int fd = fb_inroot_step(tree, path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? walk_in(tree, path) : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISCHR(st.st_mode) && st.st_rdev == 0 ? -ENOENT : fb_steal_fd(&fd);
}

/* The layers below may still be on their way: this is where bytes depend on theirs. */
int fb_lower_wait(struct fb_place *place)
{
	struct pollfd gate = {.fd = place->gate, .events = POLLIN};

	if (place->gate < 0 || !place->lower_count)
		return 0;
	while (poll(&gate, 1, -1) < 0)
		if (errno != EINTR)
			return PLACE_FAIL(place, "poll", errno, NULL);
	if (!(gate.revents & POLLIN))
		return PLACE_FAIL(place, "poll", ECANCELED, "a layer below failed");
	place->gate = -1;
	return 0;
}

bool fb_lower_shows(const struct fb_place *place, const char *path)
{
	fb_auto_close int fd = -1;

	if (!place->lower_count)
		return false;
	if (!place->hides)
		return true;
	fd = walk_in(place->root, path);
	return fd == -EAGAIN;
}

int fb_lower_search(const struct fb_place *place, const char *path)
{
	int fd = -EAGAIN;

	for (size_t i = 0; i < place->lower_count && fd == -EAGAIN; i++)
		fd = find_in(place->lower[i], path);
	return fd == -EAGAIN ? -ENOENT : fd;
}

int fb_lower_find(struct fb_place *place, const char *path)
{
	int fd = walk_in(place->root, path);

	return fd == -EAGAIN ? fb_lower_search(place, path) : fd;
}

static int copy_xattr(const char *from, const char *to, const char *name)
{
	ssize_t size = getxattr(from, name, NULL, 0);
	fb_auto_free char *value = size > 0 ? malloc((size_t)size) : NULL;

	if (size > 0 && !value)
		return -ENOMEM;
	if (size > 0)
		size = getxattr(from, name, value, (size_t)size);
	if (size < 0 || lsetxattr(to, name, value, (size_t)size, 0) < 0)
		return errno == ENOTSUP ? 0 : -errno;
	return 0;
}

/* Both are what they name, no links: `from` of a descriptor's, `to` a name in a held directory. */
static int copy_xattrs(struct fb_place *place, const char *from, const char *to)
{
	ssize_t size = listxattr(from, NULL, 0);
	fb_auto_free char *names = size > 0 ? malloc((size_t)size) : NULL;

	if (size <= 0)
		return size == 0 || errno == ENOTSUP ? 0 : -errno;
	if (!names)
		return -ENOMEM;
	size = listxattr(from, names, (size_t)size);
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		int r;

		/* How a layer hides what lies below it is its own. */
		if (strncmp(name, "trusted.", 8) == 0)
			continue;
		r = copy_xattr(from, to, name);
		if (r < 0)
			return r;
		if (strcmp(name, FB_DEFAULT_ACL) == 0)
			place->default_acls = true;
	}
	return size < 0 ? -errno : 0;
}

int fb_lower_meta(struct fb_place *place, int from, const struct stat *st, int parent,
		  const char *leaf)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	char source[PROC_PATH], target[PROC_PATH + NAME_MAX + 2];
	int r;

	r = S_ISLNK(st->st_mode) ? 0 : fb_meta_shed_acls(place, parent, leaf);
	if (r < 0)
		return r;
	/* In this order for the reasons of fb_meta_fd. */
	if (fchownat(parent, leaf, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return PLACE_FAIL(place, "fchownat", errno, NULL);
	if (!S_ISLNK(st->st_mode) &&
	    fchmodat(parent, leaf, st->st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
		return PLACE_FAIL(place, "fchmodat", errno, NULL);
	snprintf(target, sizeof(target), "/proc/self/fd/%d/%s", parent, leaf);
	/* A link's own attributes are not reached through a descriptor of it. */
	r = S_ISLNK(st->st_mode) ? 0 : copy_xattrs(place, proc_path(from, source), target);
	if (r < 0)
		return PLACE_FAIL(place, "setxattr", -r, NULL);
	return utimensat(parent, leaf, times, AT_SYMLINK_NOFOLLOW) < 0
		   ? PLACE_FAIL(place, "utimensat", errno, NULL)
		   : 0;
}

int fb_lower_inherit(struct fb_place *place, int found, int parent, const char *leaf,
		     const char *path)
{
	fb_auto_close int fd = -1;
	struct timespec times[2];
	struct stat st;
	int r;

	if (fstat(found, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	r = fb_lower_meta(place, found, &st, parent, leaf);
	if (r < 0)
		return r;
	fd = fb_inroot_step(parent, leaf, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? PLACE_FAIL(place, "openat2", -fd, NULL)
		      : fb_meta_defer(place, fd, "", path, times);
}

/* From `begin` to `end`, which hold no hole. */
static int copy_range(struct fb_place *place, int from, int to, off_t begin, off_t end)
{
	if (lseek(to, begin, SEEK_SET) < 0)
		return PLACE_FAIL(place, "lseek", errno, NULL);
	while (begin < end) {
		size_t left = (size_t)(end - begin);
		ssize_t n = sendfile(to, from, &begin, left < CHUNK ? left : CHUNK);

		if (n < 0)
			return PLACE_FAIL(place, "sendfile", errno, NULL);
		if (n == 0)
			return PLACE_FAIL(place, "sendfile", EIO, "a file of a lower layer shrank");
	}
	return 0;
}

static int copy_data(struct fb_place *place, int from, int to, const struct stat *st)
{
	off_t data = 0, hole = 0;
	int r = 0;

	while (r == 0 && (data = lseek(from, hole, SEEK_DATA)) >= 0) {
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return PLACE_FAIL(place, "lseek", errno, NULL);
		if ((uint64_t)(hole - data) > place->copy_max - place->copied)
			return PLACE_FAIL(place, "tar", EFBIG, "more file data than the limit");
		place->copied += (uint64_t)(hole - data);
		r = copy_range(place, from, to, data, hole);
	}
	if (r == 0 && data < 0 && errno != ENXIO) /* ENXIO: no data after this */
		return PLACE_FAIL(place, "lseek", errno, NULL);
	if (r == 0 && ftruncate(to, st->st_size) < 0)
		return PLACE_FAIL(place, "ftruncate", errno, NULL);
	return r;
}

static int copy_file(struct fb_place *place, int found, const struct stat *st, int parent,
		     const char *leaf)
{
	char path[PROC_PATH];
	fb_auto_close int from = open(proc_path(found, path), O_RDONLY | O_CLOEXEC);
	fb_auto_close int to = -1;

	if (from < 0)
		return PLACE_FAIL(place, "open", errno, NULL);
	to = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return PLACE_FAIL(place, "openat", errno, NULL);
	return copy_data(place, from, to, st);
}

static int copy_symlink(struct fb_place *place, int found, int parent, const char *leaf)
{
	char text[PATH_MAX + 1];
	ssize_t length = readlinkat(found, "", text, sizeof(text) - 1);

	if (length < 0)
		return PLACE_FAIL(place, "readlinkat", errno, NULL);
	text[length] = '\0';
	return symlinkat(text, parent, leaf) < 0 ? PLACE_FAIL(place, "symlinkat", errno, NULL) : 0;
}

int fb_lower_copy(struct fb_place *place, int found, int parent, const char *leaf)
{
	struct stat st;
	int r;

	if (fstat(found, &st) < 0)
		return PLACE_FAIL(place, "fstat", errno, NULL);
	if (S_ISDIR(st.st_mode))
		return PLACE_FAIL(place, "linkat", EISDIR,
				  "the target of the hard link is a directory");
	if (S_ISREG(st.st_mode))
		r = copy_file(place, found, &st, parent, leaf);
	else if (S_ISLNK(st.st_mode))
		r = copy_symlink(place, found, parent, leaf);
	else if (mknodat(parent, leaf, (st.st_mode & S_IFMT) | 0600, st.st_rdev) < 0)
		r = PLACE_FAIL(place, "mknodat", errno, NULL);
	else
		r = 0;
	return r < 0 ? r : fb_lower_meta(place, found, &st, parent, leaf);
}
