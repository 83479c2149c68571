#include "inroot.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "sys.h"

#define HELD_MAX 64
#define LINKS_MAX 40

struct walk {
	int dirs[HELD_MAX]; /* the way down from the root: ".." pops, so that no rename can move it out */
	int depth, links;
	bool deep; /* the way is longer than what is held of it */
	int flags;
	enum fb_make make;
	bool plain;
	bool stay; /* on the file system `device` */
	dev_t device;
	char rest[4 * PATH_MAX], name[NAME_MAX + 1]; /* room for links to long paths before the rest of one */
};

static int pop(struct walk *walk)
{
	if (walk->depth > 1)
		close(walk->dirs[--walk->depth]);
	else if (walk->deep)
		return -ENAMETOOLONG;
	return 0;
}

static void push(struct walk *walk, int fd)
{
	if (walk->depth == HELD_MAX) {
		close(walk->dirs[1]);
		memmove(&walk->dirs[1], &walk->dirs[2], (HELD_MAX - 2) * sizeof(walk->dirs[0]));
		walk->depth--;
		walk->deep = true;
	}
	walk->dirs[walk->depth++] = fd;
}

static void end_walk(struct walk *walk)
{
	while (walk->depth > 1)
		(void)pop(walk);
	walk->deep = false;
}

/* Cut the next name off `rest`. 1: got one; 0: the end. */
static int next_name(struct walk *walk)
{
	size_t at = strspn(walk->rest, "/");
	size_t length = strcspn(walk->rest + at, "/");

	if (!length)
		return 0;
	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(walk->name, walk->rest + at, length);
	walk->name[length] = '\0';
	memmove(walk->rest, walk->rest + at + length, strlen(walk->rest + at + length) + 1);
	return 1;
}

static bool at_end(const struct walk *walk)
{
	return walk->rest[strspn(walk->rest, "/")] == '\0';
}

/* Put the link's text before what is left of the path. */
static int follow(struct walk *walk, int link)
{
	char text[PATH_MAX];
	struct statfs fs;
	ssize_t length;
	size_t rest = strlen(walk->rest);

	if (walk->plain || ++walk->links > LINKS_MAX)
		return -ELOOP;
	/* A link of procfs may be magic and lead anywhere. */
	if (fstatfs(link, &fs) < 0)
		return -errno;
	if (fs.f_type == PROC_SUPER_MAGIC)
		return -ELOOP;
	length = readlinkat(link, "", text, sizeof(text));
	if (length < 0)
		return -errno;
	if ((size_t)length + 1 + rest >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memmove(walk->rest + length + 1, walk->rest, rest + 1);
	memcpy(walk->rest, text, (size_t)length);
	walk->rest[length] = '/';
	if (text[0] == '/')
		end_walk(walk);
	return 0;
}

static int make_missing(const struct walk *walk, int dir, bool last)
{
	int fd;

	if (walk->make == FB_MAKE_NOTHING)
		return -ENOENT;
	if (!last || walk->make == FB_MAKE_DIRECTORY)
		return mkdirat(dir, walk->name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = openat(dir, walk->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

/* One name. A descriptor: the walk is over; -EAGAIN: go on; else an error. */
static int step(struct walk *walk)
{
	int dir = walk->dirs[walk->depth - 1], r;
	bool last = at_end(walk);
	struct stat st;
	fb_auto_close int fd = openat(dir, walk->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if ((r = make_missing(walk, dir, last)) < 0)
			return r;
		fd = openat(dir, walk->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && !(last && walk->flags & O_NOFOLLOW))
		return (r = follow(walk, fd)) < 0 ? r : -EAGAIN;
	if (walk->stay && st.st_dev != walk->device)
		return -EXDEV;
	if (last && (walk->flags & ~O_NOFOLLOW) == O_PATH)
		return fb_steal_fd(&fd);
	if (last) {
		r = openat(dir, walk->name, walk->flags | O_NOFOLLOW | O_CLOEXEC);
		return r < 0 ? -errno : r;
	}
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	push(walk, fb_steal_fd(&fd));
	return -EAGAIN;
}

static int run_walk(struct walk *walk)
{
	int r;

	while ((r = next_name(walk)) > 0) {
		if (strcmp(walk->name, ".") == 0)
			continue;
		if (strcmp(walk->name, "..") == 0) {
			if ((r = pop(walk)) < 0)
				return r;
			continue;
		}
		r = step(walk);
		if (r != -EAGAIN)
			return r;
	}
	if (r < 0)
		return r;
	/* "/", or a path that ends in ".." or a link to a directory with a slash: where we stand. */
	r = openat(walk->dirs[walk->depth - 1], ".", walk->flags | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static int walk_path(int root, const char *path, int flags, enum fb_make make, bool plain, bool stay)
{
	struct walk walk;
	struct stat st;
	int r;

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (stay && fstat(root, &st) < 0)
		return -errno;
	walk.dirs[0] = root;
	walk.depth = 1;
	walk.links = 0;
	walk.deep = false;
	walk.flags = flags;
	walk.make = make;
	walk.plain = plain;
	walk.stay = stay;
	walk.device = stay ? st.st_dev : 0;
	memcpy(walk.rest, path, strlen(path) + 1);
	r = run_walk(&walk);
	end_walk(&walk);
	return r;
}

static int open_fast(int root, const char *path, int flags, uint64_t resolve)
{
	int fd = fb_openat2(root, *path ? path : ".", (uint64_t)(flags | O_CLOEXEC), 0, resolve);

	return fd < 0 ? -errno : fd;
}

/* A container's filter of before 2020 knows no openat2 and answers EPERM. */
static bool is_refused(int error)
{
	return error == -ENOSYS || error == -EPERM;
}

static uint64_t in_root(bool plain)
{
	return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (plain ? RESOLVE_NO_SYMLINKS : 0);
}

int fb_inroot_open(int root, const char *path, int flags, bool plain)
{
	int fd = open_fast(root, path, flags, in_root(plain));

	return is_refused(fd) ? walk_path(root, path, flags, FB_MAKE_NOTHING, plain, false) : fd;
}

int fb_inroot_make(int root, const char *path, enum fb_make make, bool plain)
{
	int fd = open_fast(root, path, O_PATH, in_root(plain));

	return fd == -ENOENT || is_refused(fd) ? walk_path(root, path, O_PATH, make, plain, false) : fd;
}

int fb_inroot_stay(int root, const char *path, int flags)
{
	int fd = open_fast(root, path, flags, in_root(false) | RESOLVE_NO_XDEV);

	return is_refused(fd) ? walk_path(root, path, flags, FB_MAKE_NOTHING, false, true) : fd;
}

int fb_inroot_step(int dirfd, const char *name, int flags)
{
	int fd = open_fast(dirfd, name, flags | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);

	return is_refused(fd) ? walk_path(dirfd, name, flags | O_NOFOLLOW, FB_MAKE_NOTHING, true, true) : fd;
}
