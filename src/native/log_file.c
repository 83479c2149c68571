#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "log_driver.h"

static int open_file(struct fb_log *log)
{
	struct stat st;

	log->fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		       0600);
	if (log->fd < 0)
		return -errno;
	if (fstat(log->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(log->fd);
		log->fd = -1;
		return -EINVAL;
	}
	log->size = (uint64_t)st.st_size;
	return 0;
}

int fb_log_file_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	const char *slash = strrchr(spec->path, '/');
	char directory[PATH_MAX];
	int r;

	log->max_size = spec->max_size;
	log->max_file = spec->max_file ? spec->max_file : 1;
	log->path = strdup(spec->path);
	r = log->path ? fb_log_pack_open(log, spec) : -ENOMEM;
	if (r == 0)
		r = open_file(log);
	if (r == -ENOENT && (size_t)(slash - spec->path) < sizeof(directory)) {
		memcpy(directory, spec->path, (size_t)(slash - spec->path));
		directory[slash - spec->path] = '\0';
		r = mkdir(directory, 0700) < 0 ? -errno : open_file(log);
	}
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_STDIO, -r, "open", spec->path, "the container's log") : 0;
}

/* `packed`: the name of the same file once it is compressed. */
static void numbered(const struct fb_log *log, unsigned number, bool packed, char to[PATH_MAX])
{
	if (number)
		snprintf(to, PATH_MAX, "%s.%u%s", log->path, number, packed ? ".gz" : "");
	else
		snprintf(to, PATH_MAX, "%s", log->path);
}

static bool is_there(const struct fb_log *log, unsigned number)
{
	char path[PATH_MAX];

	numbered(log, number, false, path);
	if (access(path, F_OK) == 0)
		return true;
	numbered(log, number, true, path);
	return log->pack && access(path, F_OK) == 0;
}

static void count_rotated(struct fb_log *log)
{
	log->counted = true;
	log->rotated = 0;
	while (log->rotated < log->max_file - 1 && is_there(log, log->rotated + 1))
		log->rotated++;
}

/* A name that a file can have in two forms becomes that of its predecessor. The last form is gone first: a rename replaces only its like. */
static void move_up(const struct fb_log *log, unsigned number)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (log->pack && number == log->rotated) {
		numbered(log, number, true, to);
		(void)unlink(to);
		numbered(log, number, false, to);
		(void)unlink(to);
	}
	for (int packed = 0; packed <= (log->pack && number > 1); packed++) {
		numbered(log, number, packed, to);
		numbered(log, number - 1, packed, from);
		(void)rename(from, to);
	}
}

/* A reader that follows keeps the old file open to its end and then finds the next by its number: so rename, never truncate. The oldest is
 * replaced by the rename of its successor: at no time is there one too many. */
static void rotate(struct fb_log *log)
{
	int before = log->fd;

	/* Held by who compresses only while it renames. */
	while (log->pack && flock(before, LOCK_EX) < 0 && errno == EINTR)
		;
	if (!log->counted)
		count_rotated(log);
	if (log->max_file == 1)
		(void)unlink(log->path);
	else if (log->rotated < log->max_file - 1)
		log->rotated++;
	for (unsigned n = log->rotated; n >= 1; n--)
		move_up(log, n);
	(void)open_file(log);
	if (log->pack)
		fb_log_pack_start(log);
	close(before);
}

/* Whole records reach the file or none of their bytes stay: half of one would swallow the next. */
void fb_log_file_flush(struct fb_log *log)
{
	if (log->used && log->fd < 0)
		(void)open_file(log);
	if (log->used && log->fd >= 0) {
		if (fb_write_all(log->fd, log->buffer, log->used) == 0)
			log->size += log->used;
		else if (ftruncate(log->fd, (off_t)log->size) < 0) {
			close(log->fd);
			log->fd = -1;
		}
	}
	log->used = 0;
}

char *fb_log_file_room(struct fb_log *log, size_t most)
{
	if (FB_LOG_BUFFER - log->used < most)
		fb_log_file_flush(log);
	return log->buffer + log->used;
}

void fb_log_file_commit(struct fb_log *log, size_t written)
{
	size_t before = log->used;

	if (log->max_size && log->size + before && log->size + before + written > log->max_size) {
		/* The record stays in the buffer, moved to its start, while the file changes below it. */
		fb_log_file_flush(log);
		if (log->fd >= 0 && log->size)
			rotate(log);
		memmove(log->buffer, log->buffer + before, written);
		before = 0;
	}
	log->used = before + written;
}
