#include "copyup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define DEPTH_MAX 64
#define CHUNK ((size_t)1 << 24)

struct entry { /* as getdents64 has it */
	uint64_t inode;
	int64_t offset; /* of the next one */
	unsigned short length;
	unsigned char type;
	char name[];
};

struct level {
	int from, to;
	int64_t offset; /* where to go on when the way leads back up */
};

struct walk {
	struct level levels[DEPTH_MAX];
	int depth; /* levels that are open */
	dev_t device;
	char buffer[8192] __attribute__((aligned(8)));
};

/* Owner before mode: a change of owner takes the set-id bits away. Errors of owners that the user namespace has no number for are none. */
static int take_attributes(int to, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM && errno != EINVAL)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_file(int from, int to, const char *name)
{
	fb_auto_close int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	fb_auto_close int target = -1;
	ssize_t n;

	if (source < 0)
		return -errno;
	target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (target < 0)
		return -errno;
	do
		n = sendfile(target, source, NULL, CHUNK);
	while (n > 0);
	return n < 0 ? -errno : 0;
}

static int copy_link(int from, int to, const char *name)
{
	char text[PATH_MAX];
	ssize_t length = readlinkat(from, name, text, sizeof(text) - 1);

	if (length < 0)
		return -errno;
	text[length] = '\0';
	return symlinkat(text, to, name) < 0 ? -errno : 0;
}

static int push(struct walk *walk, int from, int to, const char *name)
{
	struct level *level = &walk->levels[walk->depth];

	if (walk->depth == DEPTH_MAX)
		return -ELOOP;
	level->from = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (level->from < 0)
		return -errno;
	level->to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (level->to < 0) {
		close(level->from);
		return -errno;
	}
	level->offset = 0;
	walk->depth++;
	return 0;
}

static void pop(struct walk *walk)
{
	const struct level *level = &walk->levels[--walk->depth];

	close(level->from);
	close(level->to);
}

/* 1: it is a directory, which is on top now. */
static int copy_entry(struct walk *walk, const char *name)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	struct stat st;
	int r = 0;

	if (fstatat(level->from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		r = mkdirat(level->to, name, 0700) < 0 ? -errno : 0;
	else if (S_ISREG(st.st_mode))
		r = copy_file(level->from, level->to, name);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(level->from, level->to, name);
	else if (mknodat(level->to, name, st.st_mode & (S_IFMT | 0777), st.st_rdev) < 0)
		return errno == EPERM ? 0 : -errno;
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode) || st.st_dev != walk->device)
		return take_attributes(level->to, name, &st);
	return (r = push(walk, level->from, level->to, name)) < 0 ? r : 1;
}

/* The directory's own come when all is in it: each file made would change its time. */
static int finish_directory(const struct walk *walk)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	struct stat st;

	return fstat(level->from, &st) < 0 ? -errno : take_attributes(level->to, ".", &st);
}

/* One buffer serves all levels: on the way back a directory is read again from where it was left. 0: it is done. */
static int read_some(struct walk *walk)
{
	struct level *level = &walk->levels[walk->depth - 1];
	long length;
	int r;

	if (lseek(level->from, level->offset, SEEK_SET) < 0)
		return -errno;
	length = syscall(SYS_getdents64, level->from, walk->buffer, sizeof(walk->buffer));
	if (length <= 0)
		return length < 0 ? -errno : 0;
	for (long at = 0; at < length;) {
		const struct entry *entry = (const struct entry *)(walk->buffer + at);

		at += entry->length;
		level->offset = entry->offset;
		if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
			continue;
		if ((r = copy_entry(walk, entry->name)) != 0)
			return r;
	}
	return 1;
}

int fb_copy_up(int from, int to)
{
	struct walk walk;
	struct stat st;
	int r;

	walk.depth = 0;
	if (fstat(from, &st) < 0)
		return -errno;
	walk.device = st.st_dev;
	r = push(&walk, from, to, ".");
	while (r >= 0 && walk.depth) {
		r = read_some(&walk);
		if (r == 0 && walk.depth > 1)
			r = finish_directory(&walk);
		else if (r != 0)
			continue;
		pop(&walk);
	}
	while (walk.depth)
		pop(&walk);
	return r < 0 ? r : 0;
}
