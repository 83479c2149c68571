/* Removal of a tree that somebody else filled: any depth, any modes, links never followed, mounts
 * never entered.
 *
 * The walk keeps only a few directories open and climbs back with "..", comparing device and inode
 * with what it noted on the way down: a directory that was moved meanwhile stops the walk instead
 * of leading it elsewhere. Another walk may remove the same tree: what is gone is as wanted.
 */
#include "tar_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "inroot.h"

#define OPEN_LEVELS 32 /* directories kept open; the ones above are opened again by ".." */
#define RESCANS 64     /* entries may appear while we remove, but not for ever */

struct level {
	dev_t dev;
	ino_t ino;
	DIR *dir;   /* NULL: closed to save descriptors */
	char *name; /* in the level above, which removes it */
	int rescans;
};

struct walk {
	struct level *levels;
	size_t depth, room;
	struct fb_error *err;
};

static int walk_fail(struct walk *walk, int line, const char *call, int code, const char *detail)
{
	const char *name = walk->depth ? walk->levels[walk->depth - 1].name : NULL;
	char safe[128];
	size_t n = 0;

	for (; name && *name && n < sizeof(safe) - 1; name++)
		safe[n++] = *name > ' ' && *name < 0x7f ? *name : '?';
	safe[n] = '\0';
	return fb_fail_code(walk->err, FB_STAGE_RELEASE, line, code, call, safe, detail);
}

/* What is mounted is not ours to remove: rmdir has refused it by now (EBUSY), and this stops where another namespace mounted it. */
static int open_plain(int dirfd, const char *name, int access)
{
	int fd = fb_inroot_step(dirfd, name, O_DIRECTORY | access);

	if (fd < 0)
		errno = -fd;
	return fd < 0 ? -1 : fd;
}

/* A directory whose mode shuts out its own owner (root without CAP_DAC_OVERRIDE, or no root at all)
 * is opened up first, through a descriptor, so that the chmod can't be led to another file. */
static int open_shut(int dirfd, const char *name)
{
	fb_auto_close int handle = open_plain(dirfd, name, O_PATH);
	char path[40];

	if (handle < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
	if (chmod(path, 0700) < 0)
		return -1;
	return openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_level(int dirfd, const char *name)
{
	int fd = open_plain(dirfd, name, O_RDONLY);

	if (fd < 0 && errno == EACCES)
		fd = open_shut(dirfd, name);
	return fd;
}

static int push(struct walk *walk, int fd_taken, const char *name)
{
	fb_auto_close int fd = fd_taken;
	struct level *level;
	struct stat st;

	if (walk->depth == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 64;
		struct level *grown = realloc(walk->levels, room * sizeof(*grown));

		if (!grown)
			return walk_fail(walk, __LINE__, "realloc", ENOMEM, NULL);
		walk->levels = grown;
		walk->room = room;
	}
	if (fstat(fd, &st) < 0)
		return walk_fail(walk, __LINE__, "fstat", errno, NULL);
	if ((st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700); /* a refusal shows at the unlink */
	level = &walk->levels[walk->depth];
	*level = (struct level){.dev = st.st_dev, .ino = st.st_ino, .name = strdup(name)};
	level->dir = level->name ? fdopendir(fd) : NULL;
	if (!level->dir) {
		free(level->name);
		return walk_fail(walk, __LINE__, "fdopendir", ENOMEM, NULL);
	}
	fb_steal_fd(&fd);
	if (walk->depth++ >= OPEN_LEVELS) {
		struct level *above = &walk->levels[walk->depth - 1 - OPEN_LEVELS];

		fb_cleanup_dir(&above->dir);
	}
	return 0;
}

static void drop_last(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->depth];

	fb_cleanup_dir(&level->dir);
	free(level->name);
}

/* The level above the last is needed again and may have been closed. */
static int reopen_above(struct walk *walk)
{
	struct level *above = &walk->levels[walk->depth - 2];
	fb_auto_close int fd = -1;
	struct stat st;

	if (above->dir)
		return 0;
	fd = openat(dirfd(walk->levels[walk->depth - 1].dir), "..",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return walk_fail(walk, __LINE__, "openat", errno, NULL);
	if (st.st_dev != above->dev || st.st_ino != above->ino)
		return walk_fail(walk, __LINE__, "openat", EAGAIN,
				 "the directory was moved while it was removed");
	above->dir = fdopendir(fd);
	if (!above->dir)
		return walk_fail(walk, __LINE__, "fdopendir", errno, NULL);
	fb_steal_fd(&fd);
	return 0;
}

/* The last level has no entries left: remove it from the one above. */
static int pop(struct walk *walk, int parent)
{
	struct level *level = &walk->levels[walk->depth - 1];
	int above = parent;

	if (walk->depth > 1) {
		int r = reopen_above(walk);

		if (r < 0)
			return r;
		above = dirfd(walk->levels[walk->depth - 2].dir);
	}
	if (unlinkat(above, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		if ((errno != ENOTEMPTY && errno != EEXIST) || level->rescans++ >= RESCANS)
			return walk_fail(walk, __LINE__, "rmdir", errno, NULL);
		rewinddir(level->dir);
		return 0;
	}
	drop_last(walk);
	return 0;
}

static int remove_entry(struct walk *walk, int dirfd, const char *name, bool maybe_directory)
{
	int fd;

	if (!maybe_directory) {
		if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR && errno != EPERM)
			return walk_fail(walk, __LINE__, "unlink", errno, NULL);
	}
	/* Empty directories are common (a container's upper is full of them): no need to look
	 * inside. */
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR)
		return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT
			   ? 0
			   : walk_fail(walk, __LINE__, "unlink", errno, NULL);
	if (errno == EBUSY)
		return walk_fail(walk, __LINE__, "rmdir", EBUSY, "something is mounted there");
	fd = open_level(dirfd, name);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return walk_fail(walk, __LINE__, "openat", errno,
				 errno == EXDEV ? "something is mounted there" : NULL);
	return push(walk, fd, name);
}

static int remove_all(struct walk *walk, int parent)
{
	while (walk->depth) {
		DIR *dir = walk->levels[walk->depth - 1].dir;
		struct dirent *entry;
		int r;

		errno = 0;
		entry = readdir(dir);
		if (!entry && errno && errno != ENOENT)
			return walk_fail(walk, __LINE__, "readdir", errno, NULL);
		if (!entry)
			r = pop(walk, parent);
		else if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			r = 0;
		else
			r = remove_entry(walk, dirfd(dir), entry->d_name, entry->d_type == DT_DIR);
		if (r < 0)
			return r;
	}
	return 0;
}

int fb_remove_tree(int dirfd, const char *name, struct fb_error *err)
{
	struct walk walk = {.err = err};
	fb_auto_close int above = -1;
	const char *slash = strrchr(name, '/');
	const char *last = slash ? slash + 1 : name;
	int r;

	if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return FB_FAIL_CODE(err, FB_STAGE_RELEASE, EINVAL, "remove", name,
				    "not the name of an entry");
	if (slash) { /* the caller's own path: only its last part is somebody else's */
		fb_auto_free char *path = strndup(name, (size_t)(slash - name) + 1);

		above = path ? openat(dirfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		if (above < 0)
			return path && errno == ENOENT
				   ? 0
				   : FB_FAIL(err, FB_STAGE_RELEASE, "openat", name);
		dirfd = above;
	}
	r = remove_entry(&walk, dirfd, last, false);
	if (r == 0)
		r = remove_all(&walk, dirfd);
	while (walk.depth)
		drop_last(&walk);
	free(walk.levels);
	return r;
}
