/* The clocks of a start in the trace event format that Chrome's and Perfetto's viewers read. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"
#include "launch.h"

struct event {
	uint64_t from, to;
	enum fb_stage stage;
};

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

static size_t format(char *text, size_t size, const char *id, const struct fb_stage_clocks *clocks)
{
	struct event events[FB_STAGE_COUNT];
	size_t count = order(clocks, events), length = 0;

	for (size_t i = 0; i < count && length < size; i++)
		length += (size_t)snprintf(text + length, size - length,
					   "{\"name\":\"%s\",\"cat\":\"start\",\"ph\":\"X\",\"pid\":\"%s\",\"tid\":1,"
					   "\"ts\":%.3f,\"dur\":%.3f},\n",
					   fb_stage_name(events[i].stage), id, (double)events[i].from / 1e3,
					   (double)(events[i].to - events[i].from) / 1e3);
	return length < size ? length : size - 1;
}

/* The closing bracket is optional in the format, which is what makes appending by many processes possible. */
int fb_trace_write(const char *path, const char *id, const struct fb_stage_clocks *clocks, struct fb_error *err)
{
	fb_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	char text[8192];
	struct stat st;
	size_t length;
	int r;

	if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
		return FB_FAIL(err, FB_STAGE_RECORD, "open", path);
	text[0] = '[';
	text[1] = '\n';
	length = st.st_size ? 0 : 2;
	length += format(text + length, sizeof(text) - length, id, clocks);
	r = fb_write_all(fd, text, length);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", path, NULL) : 0;
}
