/* A walk that keeps a few directories open: each is read whole at once (only the names of the directories in it are kept), and one that
 * was closed meanwhile is opened again by "..", comparing device and inode.
 */
#include "clamp_times.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "inroot.h"

#define OPEN_LEVELS 32

#define FAIL(code, call, path) FB_FAIL_CODE(walk->err, FB_STAGE_WRITE, (code), (call), (path), NULL)

struct level {
	dev_t dev;
	ino_t ino;
	int fd;	     /* -1: closed to save descriptors */
	char *names; /* of the directories in it, each with its NUL */
	size_t length, room, at;
};

struct walk {
	struct level *levels;
	size_t depth, room;
	int64_t seconds;
	uint64_t count;
	struct fb_error *err;
};

static bool is_late(const struct walk *walk, const struct stat *st)
{
	return st->st_mtim.tv_sec > walk->seconds ||
	       (st->st_mtim.tv_sec == walk->seconds && st->st_mtim.tv_nsec > 0);
}

static int clamp_name(struct walk *walk, int fd, const char *name)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = walk->seconds}};

	if (utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(errno, "utimensat", name);
	walk->count++;
	return 0;
}

static int remember(struct walk *walk, struct level *level, const char *name)
{
	size_t length = strlen(name) + 1;

	if (level->length + length > level->room) {
		size_t room = (level->length + length) * 2;
		char *grown = realloc(level->names, room);

		if (!grown)
			return FAIL(ENOMEM, "realloc", name);
		level->names = grown;
		level->room = room;
	}
	memcpy(level->names + level->length, name, length);
	level->length += length;
	return 0;
}

static int clamp_entry(struct walk *walk, struct level *level, const char *name)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(errno, "fstatat", name);
	if (S_ISDIR(st.st_mode)) /* its own turn comes when it is opened */
		return remember(walk, level, name);
	return is_late(walk, &st) ? clamp_name(walk, level->fd, name) : 0;
}

static int read_level(struct walk *walk, struct level *level)
{
	fb_auto_close int own = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fb_auto_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return FAIL(errno, "opendir", NULL);
	own = -1;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		r = clamp_entry(walk, level, entry->d_name);
	return r == 0 && errno ? FAIL(errno, "readdir", NULL) : r;
}

static int push(struct walk *walk, int taken)
{
	fb_auto_close int fd = taken;
	struct level *level;
	struct stat st;

	if (walk->depth == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 64;
		struct level *grown = realloc(walk->levels, room * sizeof(*grown));

		if (!grown)
			return FAIL(ENOMEM, "realloc", NULL);
		walk->levels = grown;
		walk->room = room;
	}
	if (fstat(fd, &st) < 0)
		return FAIL(errno, "fstat", NULL);
	if (is_late(walk, &st) && clamp_name(walk, fd, ".") < 0)
		return -walk->err->code;
	level = &walk->levels[walk->depth++];
	*level = (struct level){.dev = st.st_dev, .ino = st.st_ino, .fd = fb_steal_fd(&fd)};
	if (walk->depth > OPEN_LEVELS)
		fb_cleanup_fd(&walk->levels[walk->depth - 1 - OPEN_LEVELS].fd);
	return read_level(walk, level);
}

static void drop_last(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->depth];

	fb_cleanup_fd(&level->fd);
	free(level->names);
}

/* Back to the level above, which may have been closed. */
static int pop(struct walk *walk)
{
	struct level *last = &walk->levels[walk->depth - 1], *above = walk->depth > 1 ? last - 1 : NULL;
	struct stat st;

	if (above && above->fd < 0) {
		above->fd = openat(last->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (above->fd < 0 || fstat(above->fd, &st) < 0)
			return FAIL(errno, "openat", "..");
		if (st.st_dev != above->dev || st.st_ino != above->ino)
			return FAIL(EAGAIN, "openat", "..");
	}
	drop_last(walk);
	return 0;
}

static int step(struct walk *walk)
{
	struct level *level = &walk->levels[walk->depth - 1];
	const char *name = level->names + level->at;
	int fd;

	if (level->at == level->length)
		return pop(walk);
	level->at += strlen(name) + 1;
	fd = fb_inroot_step(level->fd, name, O_RDONLY | O_DIRECTORY);
	if (fd == -EXDEV) /* something is mounted there: not of this tree */
		return 0;
	return fd < 0 ? FAIL(-fd, "openat2", name) : push(walk, fd);
}

int fb_clamp_times(int root, int64_t seconds, uint64_t *ret_count, struct fb_error *err)
{
	struct walk state = {.seconds = seconds, .err = err}, *walk = &state;
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? FAIL(errno, "openat", ".") : push(walk, fd);

	while (r == 0 && walk->depth)
		r = step(walk);
	while (walk->depth)
		drop_last(walk);
	free(walk->levels);
	if (r == 0)
		*ret_count = walk->count;
	return r;
}
