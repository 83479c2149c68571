#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "log_driver.h"

#define LAST_WAIT_MS 200 /* for a socket's backlog when the container has ended: others wait for us meanwhile */

struct fb_log_chunk { /* of the backlog: text as it was read */
	struct fb_log_chunk *next;
	int stream;
	size_t start, end;
	char data[];
};

struct moment {
	struct timespec when;
	char time[FB_TIME_SIZE];
};

static void release(struct fb_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	fb_log_peer_free(log);
	fb_log_pack_free(log);
	free(log->cache);
	free(log->path);
	free(log->fields);
	*log = (struct fb_log){.fd = -1};
}

static int open_cache(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	log->cache = malloc(sizeof(*log->cache));
	return log->cache ? fb_log_open(log->cache, spec->cache, log->buffer, err) :
			    FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
}

int fb_log_open(struct fb_log *log, const struct fb_log_spec *spec, char *buffer, struct fb_error *err)
{
	static int (*const openers[])(struct fb_log *, const struct fb_log_spec *, struct fb_error *) = {
		[FB_LOG_JSON] = fb_log_json_open,
		[FB_LOG_LOCAL] = fb_log_local_open,
		[FB_LOG_JOURNALD] = fb_log_journald_open,
		[FB_LOG_SYSLOG] = fb_log_syslog_open,
	};
	int r;

	*log = (struct fb_log){.fd = -1, .buffer = buffer, .backlog_max = spec->buffer};
	if (spec->driver == FB_LOG_NONE)
		return 0;
	r = openers[spec->driver](log, spec, err);
	if (r == 0 && spec->cache)
		r = open_cache(log, spec, err);
	if (r < 0)
		release(log);
	return r;
}

static struct moment now(void)
{
	struct moment moment = {0};

	clock_gettime(CLOCK_REALTIME, &moment.when);
	fb_time_format(&moment.when, moment.time);
	return moment;
}

static int put_line(struct fb_log *log, int stream, const char *text, size_t length, const struct moment *moment)
{
	struct fb_log_entry entry = {.stream = stream, .text = text, .length = length - 1, .ended = true,
				     .when = moment->when, .time = moment->time};

	return log->ops->put(log, &entry);
}

/* Keep what has no newline until it has one, is FB_LOG_LINE long, or the stream ends. */
static void keep(struct fb_log_partial *partial, const char *text, size_t length)
{
	if (!partial->text && !(partial->text = malloc(FB_LOG_LINE)))
		return;
	memcpy(partial->text + partial->length, text, length);
	partial->length += length;
}

static void release_kept(struct fb_log_partial *partial)
{
	free(partial->text);
	*partial = (struct fb_log_partial){0};
}

static void first_piece(struct fb_log_partial *partial, const struct moment *moment)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[32] = {0};

	partial->when = moment->when;
	memcpy(partial->time, moment->time, sizeof(partial->time));
	(void)!getrandom(random, sizeof(random), GRND_NONBLOCK);
	for (size_t i = 0; i < sizeof(random); i++) {
		partial->id[2 * i] = digits[random[i] >> 4];
		partial->id[2 * i + 1] = digits[random[i] & 15];
	}
	partial->id[64] = '\0';
}

/* `last`: the stream has ended, so what is cut off will never be whole. */
static int put_kept(struct fb_log *log, int stream, const struct moment *moment, bool last)
{
	struct fb_log_partial *partial = &log->partial[stream - 1];
	struct fb_log_entry entry = {.stream = stream, .text = partial->text, .when = moment->when,
				     .time = moment->time};
	size_t cut = 0;
	int r;

	if (!partial->length)
		return 0;
	entry.ended = partial->text[partial->length - 1] == '\n';
	/* A full buffer is cut between characters: the head of the last one begins the next piece. */
	if (!entry.ended && !last)
		cut = fb_quote_cut(partial->text, partial->length);
	entry.length = partial->length - cut - entry.ended;
	if (!entry.ended && !partial->pieces)
		first_piece(partial, moment);
	if (!entry.ended || partial->pieces) {
		partial->pieces++;
		entry.partial = partial;
		entry.when = partial->when;
		entry.time = partial->time;
	}
	r = log->ops->put(log, &entry);
	if (r == -EAGAIN) {
		partial->pieces -= entry.partial != NULL;
		return r;
	}
	memmove(partial->text, partial->text + partial->length - cut, cut);
	partial->length = cut;
	if (entry.ended)
		partial->pieces = 0;
	return 0;
}

/* How much was taken: all, unless the driver can't take more now. */
static size_t put_text(struct fb_log *log, int stream, const char *data, size_t length, const struct moment *moment)
{
	struct fb_log_partial *partial = &log->partial[stream - 1];
	size_t left = length;

	while (left) {
		const char *newline = memchr(data, '\n', left);
		size_t line = newline ? (size_t)(newline - data) + 1 : left;
		size_t kept = partial->length;

		if (newline && !kept && !partial->pieces && line <= FB_LOG_LINE) {
			if (put_line(log, stream, data, line, moment) == -EAGAIN)
				break;
		} else {
			if (line > FB_LOG_LINE - kept)
				line = FB_LOG_LINE - kept;
			keep(partial, data, line);
			if ((data[line - 1] == '\n' || kept + line == FB_LOG_LINE) &&
			    put_kept(log, stream, moment, false) == -EAGAIN) {
				partial->length = kept;
				break;
			}
		}
		data += line;
		left -= line;
	}
	if (!partial->length && !partial->pieces)
		release_kept(partial);
	return length - left;
}

static void backlog_append(struct fb_log *log, int stream, const char *data, size_t length)
{
	struct fb_log_chunk *chunk = length ? malloc(sizeof(*chunk) + length) : NULL;

	if (!chunk)
		return;
	*chunk = (struct fb_log_chunk){.stream = stream, .end = length};
	memcpy(chunk->data, data, length);
	if (!log->backlog)
		log->backlog_end = &log->backlog;
	*log->backlog_end = chunk;
	log->backlog_end = &chunk->next;
	log->backlog_size += length;
}

static void drop_chunk(struct fb_log *log)
{
	struct fb_log_chunk *chunk = log->backlog;

	log->backlog = chunk->next;
	log->backlog_size -= chunk->end - chunk->start;
	free(chunk);
}

void fb_log_resume(struct fb_log *log)
{
	struct moment moment = now();

	while (log->backlog) {
		struct fb_log_chunk *chunk = log->backlog;
		size_t taken = put_text(log, chunk->stream, chunk->data + chunk->start,
					chunk->end - chunk->start, &moment);

		chunk->start += taken;
		log->backlog_size -= taken;
		if (chunk->start < chunk->end)
			break;
		drop_chunk(log);
	}
	log->ops->flush(log);
}

/* Text that is to be logged, now or later. */
static void take(struct fb_log *log, int stream, const char *data, size_t length)
{
	struct moment moment;
	size_t taken = 0;

	if (log->lost[stream - 1]) {
		log->lost[stream - 1] = false;
		/* The beginning of a line is there, its rest was dropped. */
		if (log->open_line[stream - 1])
			take(log, stream, "\n", 1);
	}
	if (!log->backlog) {
		moment = now();
		taken = put_text(log, stream, data, length, &moment);
		log->ops->flush(log);
	}
	backlog_append(log, stream, data + taken, length - taken);
	log->open_line[stream - 1] = data[length - 1] != '\n';
}

static size_t to_last_newline(const struct fb_log_chunk *chunk)
{
	const char *newline = memrchr(chunk->data + chunk->start, '\n', chunk->end - chunk->start);

	return newline ? (size_t)(newline + 1 - chunk->data) : 0;
}

/* What follows is dropped: so is the beginning of a line as far as it is still in the backlog. */
static void drop_open_line(struct fb_log *log, int stream)
{
	const struct fb_log_partial *partial = &log->partial[stream - 1];
	struct fb_log_chunk *whole = NULL, *chunk, **at = &log->backlog;
	bool after = false;

	for (chunk = log->backlog; chunk; chunk = chunk->next)
		if (chunk->stream == stream && to_last_newline(chunk))
			whole = chunk;
	while ((chunk = *at)) {
		if (chunk == whole) {
			log->backlog_size -= chunk->end - to_last_newline(chunk);
			chunk->end = to_last_newline(chunk);
			after = true;
		} else if (chunk->stream == stream && (after || !whole)) {
			log->backlog_size -= chunk->end - chunk->start;
			*at = chunk->next;
			free(chunk);
			continue;
		}
		at = &chunk->next;
	}
	log->backlog_end = at;
	log->open_line[stream - 1] = !whole && (partial->length || partial->pieces);
}

void fb_log_write(struct fb_log *log, int stream, const char *data, size_t length)
{
	const char *end = data + length, *newline;
	size_t room;

	if (!log->ops)
		return;
	if (log->cache)
		fb_log_write(log->cache, stream, data, length);
	if (log->skipping[stream - 1]) {
		newline = memchr(data, '\n', length);
		if (!newline)
			return;
		log->skipping[stream - 1] = false;
		data = newline + 1;
	}
	room = log->backlog_size < log->backlog_max ? log->backlog_max - log->backlog_size : 0;
	if (log->backlog && log->backlog_max && (size_t)(end - data) > room) {
		newline = memrchr(data, '\n', room);
		if (newline)
			take(log, stream, data, (size_t)(newline + 1 - data));
		else
			drop_open_line(log, stream);
		log->lost[stream - 1] = true;
		log->skipping[stream - 1] = end[-1] != '\n';
	} else if (data < end) {
		take(log, stream, data, (size_t)(end - data));
	}
}

bool fb_log_waits(const struct fb_log *log)
{
	return log->backlog && log->fd >= 0;
}

bool fb_log_blocks(const struct fb_log *log)
{
	return log->backlog && !log->backlog_max;
}

void fb_log_close(struct fb_log *log)
{
	struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
	struct moment moment;

	if (!log->ops)
		return;
	if (log->cache)
		fb_log_close(log->cache);
	while (log->backlog && poll(&ready, 1, LAST_WAIT_MS) == 1 && ready.revents & POLLOUT)
		fb_log_resume(log);
	while (log->backlog)
		drop_chunk(log);
	moment = now();
	for (int stream = 1; stream <= 2; stream++) {
		(void)put_kept(log, stream, &moment, true);
		release_kept(&log->partial[stream - 1]);
	}
	log->ops->flush(log);
	release(log);
}
