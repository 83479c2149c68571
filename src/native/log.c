#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

#define LINE_OVERHEAD ((size_t)96) /* {"log":"","stream":"stdout","time":"..."}\n */

static int open_file(struct fb_log *log)
{
	struct stat st;
	char last;

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
	if (log->size && pread(log->fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
	    write(log->fd, "\n", 1) == 1)
		log->size++;
	return 0;
}

int fb_log_open(struct fb_log *log, const char *path, uint64_t max_size, unsigned max_file, char *buffer,
		struct fb_error *err)
{
	struct fb_log opened = {.fd = -1, .max_size = max_size, .buffer = buffer};
	int r;

	opened.max_file = max_file ? max_file : 1;
	opened.path = strdup(path);
	r = opened.path ? open_file(&opened) : -ENOMEM;
	if (r < 0) {
		free(opened.path);
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, -r, "open", path, "the container's log");
	}
	*log = opened;
	return 0;
}

/* A reader that follows keeps the old file open to its end and then finds the new one under the name: so rename, never truncate. */
static void rotate(struct fb_log *log)
{
	char from[PATH_MAX], to[PATH_MAX];

	for (unsigned n = log->max_file - 1; n >= 1; n--) {
		snprintf(to, sizeof(to), "%s.%u", log->path, n);
		if (n == 1)
			snprintf(from, sizeof(from), "%s", log->path);
		else
			snprintf(from, sizeof(from), "%s.%u", log->path, n - 1);
		(void)rename(from, to);
	}
	if (log->max_file == 1)
		(void)unlink(log->path);
	close(log->fd);
	(void)open_file(log);
}

/* Whole lines reach the file or none of their bytes stay: a half-written line would swallow the next one. */
static void flush(struct fb_log *log)
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

static void put_line(struct fb_log *log, int stream, const char *text, size_t length, const char *time)
{
	size_t most = length * FB_QUOTE_WORST + LINE_OVERHEAD, before, written;
	char *at;

	if (FB_LOG_BUFFER - log->used < most)
		flush(log);
	before = log->used;
	at = log->buffer + before;
	memcpy(at, "{\"log\":\"", 8);
	at += 8;
	at += fb_quote(at, text, length);
	at += snprintf(at, LINE_OVERHEAD - 8, "\",\"stream\":\"%s\",\"time\":\"%s\"}\n",
		       stream == 1 ? "stdout" : "stderr", time);
	written = (size_t)(at - (log->buffer + before));
	if (log->max_size && log->size + before && log->size + before + written > log->max_size) {
		/* The encoded line stays in the buffer, moved to its start, while the file changes below it. */
		flush(log);
		if (log->fd >= 0 && log->size)
			rotate(log);
		memmove(log->buffer, log->buffer + before, written);
		before = 0;
	}
	log->used = before + written;
}

/* Keep what has no newline until it has one, is FB_LOG_LINE long, or the stream ends. */
static void keep(struct fb_log *log, int stream, const char *text, size_t length)
{
	char **kept = &log->partial[stream - 1].text;

	if (!*kept && !(*kept = malloc(FB_LOG_LINE)))
		return;
	memcpy(*kept + log->partial[stream - 1].length, text, length);
	log->partial[stream - 1].length += length;
}

static void release_kept(struct fb_log *log, int stream)
{
	free(log->partial[stream - 1].text);
	log->partial[stream - 1].text = NULL;
	log->partial[stream - 1].length = 0;
}

static void put_kept(struct fb_log *log, int stream, const char *time)
{
	char *text = log->partial[stream - 1].text;
	size_t length = log->partial[stream - 1].length, cut;

	if (!length)
		return;
	/* A full buffer is cut between characters: the head of the last one begins the next piece. */
	cut = length == FB_LOG_LINE ? fb_quote_cut(text, length) : 0;
	put_line(log, stream, text, length - cut, time);
	memmove(text, text + length - cut, cut);
	log->partial[stream - 1].length = cut;
}

static void put_text(struct fb_log *log, int stream, const char *data, size_t length, const char *time)
{
	while (length) {
		const char *newline = memchr(data, '\n', length);
		size_t line = newline ? (size_t)(newline - data) + 1 : length;
		size_t kept = log->partial[stream - 1].length;

		if (newline && !kept && line <= FB_LOG_LINE) {
			put_line(log, stream, data, line, time);
		} else {
			if (line > FB_LOG_LINE - kept)
				line = FB_LOG_LINE - kept;
			keep(log, stream, data, line);
			if (data[line - 1] == '\n' || kept + line == FB_LOG_LINE)
				put_kept(log, stream, time);
		}
		data += line;
		length -= line;
	}
	if (!log->partial[stream - 1].length)
		release_kept(log, stream);
}

static void now(char time[FB_TIME_SIZE])
{
	struct timespec clock = {0};

	clock_gettime(CLOCK_REALTIME, &clock);
	fb_time_format(&clock, time);
}

void fb_log_write(struct fb_log *log, int stream, const char *data, size_t length)
{
	char time[FB_TIME_SIZE];

	if (!log->path)
		return;
	now(time);
	put_text(log, stream, data, length, time);
	flush(log);
}

void fb_log_close(struct fb_log *log)
{
	char time[FB_TIME_SIZE];

	if (!log->path)
		return;
	now(time);
	for (int stream = 1; stream <= 2; stream++) {
		size_t length = log->partial[stream - 1].length;

		if (length)
			put_line(log, stream, log->partial[stream - 1].text, length, time);
		release_kept(log, stream);
	}
	flush(log);
	if (log->fd >= 0)
		close(log->fd);
	free(log->path);
	*log = (struct fb_log){.fd = -1};
}
