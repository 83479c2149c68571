/* The clocks of a start: in order, in the caller's time, and in their three forms. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

#define CHECK(condition, ...)                                                                \
	do {                                                                                 \
		if (!(condition)) {                                                          \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);      \
			fprintf(stderr, __VA_ARGS__);                                        \
			fputc('\n', stderr);                                                 \
			failures++;                                                          \
		}                                                                            \
	} while (0)
#define MS ((uint64_t)1000000)

static int failures;
static const struct fb_stage_clocks clocks = {
	.begin = 1 * MS,
	.at = {[FB_STAGE_EXEC] = 3 * MS, [FB_STAGE_PLAN] = 3 * MS / 2, [FB_STAGE_SPEC] = 5 * MS / 4}};

static void json_form(void)
{
	char text[256], small[40];

	fb_clocks_json(text, sizeof(text), &clocks);
	CHECK(strcmp(text, "{\"begin\":1000000,\"spec\":1250000,\"plan\":1500000,\"exec\":3000000}") == 0, "%s", text);
	fb_clocks_json(small, sizeof(small), &clocks);
	CHECK(strcmp(small, "{\"begin\":1000000,\"spec\":1250000}") == 0, "cut at a member: %s", small);
}

static void every_stage_fits(void)
{
	struct fb_stage_clocks all = {.begin = UINT64_MAX - 100};
	char text[1800];

	for (int stage = 0; stage < FB_STAGE_COUNT; stage++)
		all.at[stage] = UINT64_MAX - 50 + (uint64_t)stage;
	fb_clocks_json(text, sizeof(text), &all);
	CHECK(strstr(text, "\"none\"") && strstr(text, fb_stage_name(FB_STAGE_COUNT - 1)), "every stage: %s", text);
}

static size_t read_back(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strlen(text);
}

static void table(void)
{
	FILE *file = tmpfile();
	char text[1024];

	CHECK(fb_timings_print(fileno(file), "box", &clocks) == 0, "print");
	read_back(fileno(file), text, sizeof(text));
	CHECK(strcmp(text, "box                microseconds     share\n"
			   "spec                      250.0    12.5 %\n"
			   "plan                      250.0    12.5 %\n"
			   "exec                     1500.0    75.0 %\n"
			   "start                    2000.0   100.0 %\n") == 0, "%s", text);
	fclose(file);
	CHECK(fb_timings_print(-1, "box", &clocks) == -EBADF, "nowhere to print to");
}

static void reports(void)
{
	char path[] = "/tmp/fastbox-trace.XXXXXX", text[4096];
	int fd = mkstemp(path);

	setenv("FASTBOX_TRACE", "", 1);
	fb_clocks_report(false, "none", &clocks);
	setenv("FASTBOX_TRACE", path, 1);
	fb_clocks_report(false, "one", &clocks);
	unsetenv("FASTBOX_TRACE");
	fb_clocks_report(false, "two", &clocks);
	read_back(fd, text, sizeof(text));
	CHECK(strstr(text, "fastbox one") && !strstr(text, "fastbox two"), "%s", text);
	unlink(path);
	close(fd);
}

static void trace_events(void)
{
	char path[] = "/tmp/fastbox-trace.XXXXXX", text[4096], expected[128];
	int fd = mkstemp(path);
	struct fb_error err;

	CHECK(fb_trace_write(path, "x\"", &clocks, &err) == 0 && fb_trace_write(path, "y", &clocks, &err) == 0, "trace");
	read_back(fd, text, sizeof(text));
	CHECK(strncmp(text, "[\n{\"name\":\"process_name\",\"ph\":\"M\"", 33) == 0 && !strchr(text + 1, '['), "%s", text);
	CHECK(strstr(text, "\"args\":{\"name\":\"fastbox x\\\"\"}},\n") != NULL, "quoted: %s", text);
	snprintf(expected, sizeof(expected), "\"pid\":%d,\"tid\":%d,\"ts\":1500.000,\"dur\":1500.000},\n", getpid(), getpid());
	CHECK(strstr(text, expected) != NULL, "%s", text);
	unlink(path);
	CHECK(symlink("/dev/null", path) == 0 && fb_trace_write(path, "x", &clocks, &err) == -ELOOP, "through a link");
	unlink(path);
	close(fd);
}

static void other_time(void)
{
	struct fb_stage_clocks moved = {.begin = fb_now()};
	uint64_t hour = 3600 * 1000 * MS, now;

	moved.at[FB_STAGE_PLAN] = moved.begin + 1;
	moved.at[FB_STAGE_CLONE] = moved.begin + 2 + hour;
	moved.at[FB_STAGE_MOUNT] = moved.begin + 3 + 2 * hour;
	fb_clocks_settle(&moved, "boottime 7 0\nmonotonic 3600 0\n");
	CHECK(moved.at[FB_STAGE_PLAN] == moved.begin + 1 && moved.at[FB_STAGE_CLONE] == moved.begin + 2, "moved back");
	CHECK(moved.at[FB_STAGE_MOUNT] == 0 && moved.at[FB_STAGE_EXEC] == 0, "neither the caller's time nor the child's");
	moved.at[FB_STAGE_CLONE] = moved.begin - hour + 500 * MS;
	moved.at[FB_STAGE_EXEC] = moved.begin;
	now = fb_now();
	fb_clocks_settle(&moved, "monotonic -3600 500000000\nboottime 0 0\n");
	CHECK(moved.at[FB_STAGE_CLONE] == moved.begin, "a clock that is behind");
	CHECK(moved.at[FB_STAGE_EXEC] >= now, "exec ends when the caller knows");
	fb_clocks_settle(&moved, NULL);
	CHECK(moved.at[FB_STAGE_CLONE] == moved.begin, "no offsets");
}

int main(void)
{
	json_form();
	every_stage_fits();
	table();
	trace_events();
	reports();
	other_time();
	return failures != 0;
}
