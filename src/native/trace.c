/* The clocks of a start, for who asked: in the supervisor's answer, as a table, and in the trace event format that Chrome's and
 * Perfetto's viewers read.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "launch.h"
#include "quote.h"

struct event {
	uint64_t from, to;
	enum fb_stage stage;
};

/* A text that grows; what does not fit is left out whole. */
struct text {
	char *data;
	size_t size, length;
};

static void __attribute__((format(printf, 2, 3))) append(struct text *text, const char *format, ...)
{
	size_t left = text->size - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->data + text->length, left, format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < left)
		text->length += (size_t)length;
	else
		text->data[text->length] = '\0';
}

/* Stages in the order in which they ended; each began where the one before ended. */
static size_t order(const struct fb_stage_clocks *clocks, struct event *events)
{
	size_t count = 0;

	for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
		size_t at = count;

		if (!clocks->at[stage])
			continue;
		for (; at > 0 && events[at - 1].to > clocks->at[stage]; at--)
			events[at] = events[at - 1];
		events[at] = (struct event){.to = clocks->at[stage], .stage = (enum fb_stage)stage};
		count++;
	}
	for (size_t i = 0; i < count; i++)
		events[i].from = i ? events[i - 1].to : clocks->begin;
	return count;
}

void fb_clocks_settle(struct fb_stage_clocks *clocks, const char *offsets)
{
	const char *monotonic = offsets ? strstr(offsets, "monotonic") : NULL;
	long long seconds = 0, nanoseconds = 0;
	uint64_t now = fb_now();

	/* The child could only tell when it called execve. */
	if (clocks->at[FB_STAGE_EXEC])
		clocks->at[FB_STAGE_EXEC] = now;
	if (!monotonic || sscanf(monotonic, "monotonic %lld %lld", &seconds, &nanoseconds) != 2)
		return;
	for (int stage = 0; stage < FB_STAGE_COUNT; stage++) {
		uint64_t *at = &clocks->at[stage];

		if (!*at || (*at >= clocks->begin && *at <= now))
			continue;
		*at -= (uint64_t)(seconds * 1000000000LL + nanoseconds);
		if (*at < clocks->begin || *at > now)
			*at = 0;
	}
}

void fb_clocks_json(char *json, size_t size, const struct fb_stage_clocks *clocks)
{
	struct event events[FB_STAGE_COUNT];
	size_t count = order(clocks, events);
	struct text text = {.data = json, .size = size - 1};

	append(&text, "{\"begin\":%" PRIu64, clocks->begin);
	for (size_t i = 0; i < count; i++)
		append(&text, ",\"%s\":%" PRIu64, fb_stage_name(events[i].stage), events[i].to);
	memcpy(json + text.length, "}", 2);
}

static void row(struct text *text, const char *name, uint64_t nanoseconds, uint64_t whole)
{
	append(text, "%-18s %12.1f %7.1f %%\n", name, (double)nanoseconds / 1e3,
	       whole ? 100.0 * (double)nanoseconds / (double)whole : 0.0);
}

int fb_timings_print(int fd, const char *id, const struct fb_stage_clocks *clocks)
{
	struct event events[FB_STAGE_COUNT];
	size_t count = order(clocks, events);
	uint64_t whole = count ? events[count - 1].to - clocks->begin : 0;
	char data[4096];
	struct text text = {.data = data, .size = sizeof(data)};

	append(&text, "%-18.64s %12s %9s\n", id, "microseconds", "share");
	for (size_t i = 0; i < count; i++)
		row(&text, fb_stage_name(events[i].stage), events[i].to - events[i].from, whole);
	row(&text, "start", whole, whole);
	return fb_write_all(fd, data, text.length);
}

static void format(struct text *text, const char *id, const struct fb_stage_clocks *clocks)
{
	struct event events[FB_STAGE_COUNT];
	size_t count = order(clocks, events);
	int pid = (int)getpid();
	char name[256];

	fb_quote_string(name, sizeof(name), id);
	for (int i = 0; i < 2; i++)
		append(text, "{\"name\":\"%s_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"fastbox %s\"}},\n",
		       i ? "thread" : "process", pid, pid, name);
	for (size_t i = 0; i < count; i++)
		append(text,
		       "{\"name\":\"%s\",\"cat\":\"native\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f},\n",
		       fb_stage_name(events[i].stage), pid, pid, (double)events[i].from / 1e3,
		       (double)(events[i].to - events[i].from) / 1e3);
}

/* The closing bracket is optional in the format, which is what makes appending by many processes possible. */
int fb_trace_write(const char *path, const char *id, const struct fb_stage_clocks *clocks, struct fb_error *err)
{
	fb_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	char data[8192];
	struct text text = {.data = data, .size = sizeof(data)};
	struct stat st;
	int r;

	if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
		return FB_FAIL(err, FB_STAGE_RECORD, "open", path);
	append(&text, "%s", st.st_size ? "" : "[\n");
	format(&text, id, clocks);
	r = fb_write_all(fd, data, text.length);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", path, NULL) : 0;
}

void fb_clocks_report(bool print, const char *id, const struct fb_stage_clocks *clocks)
{
	const char *path = secure_getenv("FASTBOX_TRACE");

	if (print)
		(void)fb_timings_print(STDERR_FILENO, id, clocks);
	if (path && *path)
		(void)fb_trace_write(path, id, clocks, NULL);
}
