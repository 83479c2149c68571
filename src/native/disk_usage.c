/* A walk that keeps a few directories open: each is read whole at once (only the names of the directories in it are kept), and one
 * that was closed meanwhile is opened again by "..", comparing device and inode. A directory that was moved under the walk can't
 * lead it elsewhere: what is above it and was not read yet is then left out.
 */
#include "disk_usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "inroot.h"

#define OPEN_LEVELS 64 /* directories kept open; the ones above are opened again by ".." */
#define BLOCK 512      /* the unit of st_blocks, whatever the file system's own */

struct file {
	dev_t dev;
	ino_t ino; /* 0: a free place */
};

struct fb_disk_usage {
	struct file *files; /* open addressing; the size is a power of two, at most half full */
	size_t count, room;
};

struct level {
	dev_t dev;
	ino_t ino;
	int fd;	     /* -1: closed to save descriptors */
	char *names; /* of directories in it that are still to be walked, each with its NUL */
	size_t length, room, at;
};

struct walk {
	struct fb_disk_usage *usage;
	struct level *levels;
	size_t depth, room;
	struct fb_disk_usage_sum sum;
	struct fb_error *err;
};

int fb_disk_usage_open(struct fb_disk_usage **ret_usage, struct fb_error *err)
{
	struct fb_disk_usage *usage = calloc(1, sizeof(*usage));

	if (!usage)
		return FB_FAIL_CODE(err, FB_STAGE_NONE, ENOMEM, "calloc", NULL, NULL);
	*ret_usage = usage;
	return 0;
}

void fb_disk_usage_close(struct fb_disk_usage *usage)
{
	if (usage)
		free(usage->files);
	free(usage);
}

static size_t place_of(const struct file *files, size_t room, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)ino ^ (uint64_t)dev << 32) * 0x9e3779b97f4a7c15u;
	size_t at = (size_t)(hash >> 32) & (room - 1);

	while (files[at].ino && (files[at].ino != ino || files[at].dev != dev))
		at = (at + 1) & (room - 1);
	return at;
}

static int grow(struct fb_disk_usage *usage)
{
	size_t room = usage->room ? usage->room * 2 : 1024;
	struct file *files = calloc(room, sizeof(*files));

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < usage->room; i++)
		if (usage->files[i].ino)
			files[place_of(files, room, usage->files[i].dev, usage->files[i].ino)] =
				usage->files[i];
	free(usage->files);
	usage->files = files;
	usage->room = room;
	return 0;
}

/* 1: the first time, 0: it was counted already. */
static int first_time(struct fb_disk_usage *usage, const struct stat *st)
{
	size_t at;

	if (usage->count * 2 >= usage->room && grow(usage) < 0)
		return -ENOMEM;
	at = place_of(usage->files, usage->room, st->st_dev, st->st_ino);
	if (usage->files[at].ino)
		return 0;
	usage->files[at] = (struct file){.dev = st->st_dev, .ino = st->st_ino};
	usage->count++;
	return 1;
}

static int count(struct walk *walk, const struct stat *st)
{
	int r = 1;

	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		r = first_time(walk->usage, st);
	if (r < 0)
		return FB_FAIL_CODE(walk->err, FB_STAGE_NONE, -r, "calloc", NULL, NULL);
	if (r > 0) {
		walk->sum.bytes += (uint64_t)st->st_blocks * BLOCK;
		walk->sum.entries++;
	}
	return 0;
}

static bool gone(int code)
{
	/* ELOOP, ENOTDIR: it was replaced since it was read; EXDEV: something is mounted there. */
	return code == ENOENT || code == ELOOP || code == ENOTDIR || code == EXDEV;
}

static int remember(struct walk *walk, struct level *level, const char *name)
{
	size_t length = strlen(name) + 1;

	if (level->length + length > level->room) {
		size_t room = (level->length + length) * 2;
		char *grown = realloc(level->names, room);

		if (!grown)
			return FB_FAIL_CODE(walk->err, FB_STAGE_NONE, ENOMEM, "realloc", NULL, NULL);
		level->names = grown;
		level->room = room;
	}
	memcpy(level->names + level->length, name, length);
	level->length += length;
	return 0;
}

static int read_entry(struct walk *walk, struct level *level, int fd, const struct dirent *entry)
{
	struct stat st;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (entry->d_type == DT_DIR) /* counted when it is opened */
		return remember(walk, level, entry->d_name);
	if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return gone(errno) ? 0 : FB_FAIL(walk->err, FB_STAGE_NONE, "fstatat", entry->d_name);
	if (S_ISDIR(st.st_mode)) /* a file system that doesn't tell types */
		return remember(walk, level, entry->d_name);
	return count(walk, &st);
}

static int read_level(struct walk *walk, struct level *level)
{
	int copy = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fb_auto_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = errno;
		if (copy >= 0)
			close(copy);
		return FB_FAIL_CODE(walk->err, FB_STAGE_NONE, r, "openat", NULL, NULL);
	}
	while (r == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry && errno && errno != ENOENT)
			return FB_FAIL(walk->err, FB_STAGE_NONE, "readdir", NULL);
		if (!entry)
			break;
		r = read_entry(walk, level, dirfd(dir), entry);
	}
	return r;
}

static int push(struct walk *walk, int fd_taken)
{
	fb_auto_close int fd = fd_taken;
	struct level *level;
	struct stat st;
	int r;

	if (walk->depth == walk->room) {
		size_t room = walk->room ? walk->room * 2 : 64;
		struct level *grown = realloc(walk->levels, room * sizeof(*grown));

		if (!grown)
			return FB_FAIL_CODE(walk->err, FB_STAGE_NONE, ENOMEM, "realloc", NULL, NULL);
		walk->levels = grown;
		walk->room = room;
	}
	if (fstat(fd, &st) < 0)
		return FB_FAIL(walk->err, FB_STAGE_NONE, "fstat", NULL);
	r = count(walk, &st);
	if (r < 0)
		return r;
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
static void pop(struct walk *walk)
{
	struct level *last = &walk->levels[walk->depth - 1];
	struct level *above = walk->depth > 1 ? last - 1 : NULL;
	struct stat st;

	if (above && above->fd < 0) {
		above->fd = last->fd < 0 ? -1
					 : openat(last->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (above->fd >= 0 && (fstat(above->fd, &st) < 0 || st.st_dev != above->dev ||
				       st.st_ino != above->ino))
			fb_cleanup_fd(&above->fd);
	}
	drop_last(walk);
}

static int step(struct walk *walk)
{
	struct level *level = &walk->levels[walk->depth - 1];
	const char *name;
	int fd;

	if (level->fd < 0 || level->at == level->length) {
		pop(walk);
		return 0;
	}
	name = level->names + level->at;
	level->at += strlen(name) + 1;
	fd = fb_inroot_step(level->fd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return gone(-fd) ? 0
				 : FB_FAIL_CODE(walk->err, FB_STAGE_NONE, -fd, "openat", name, NULL);
	return push(walk, fd);
}

static int begin(struct walk *walk, int dirfd, const char *name)
{
	struct stat st;
	int fd = -1;

	if (strcmp(name, ".") == 0)
		fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		return count(walk, &st);
	else {
		fd = fb_inroot_step(dirfd, name, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			errno = -fd;
	}
	if (fd < 0)
		return gone(errno) ? 0 : FB_FAIL(walk->err, FB_STAGE_NONE, "openat", name);
	return push(walk, fd);
}

int fb_disk_usage_add(struct fb_disk_usage *usage, int dirfd, const char *name,
		      struct fb_disk_usage_sum *ret_sum, struct fb_error *err)
{
	struct walk walk = {.usage = usage, .err = err};
	int r = begin(&walk, dirfd, name);

	while (r == 0 && walk.depth)
		r = step(&walk);
	while (walk.depth)
		drop_last(&walk);
	free(walk.levels);
	if (r == 0)
		*ret_sum = walk.sum;
	return r;
}
