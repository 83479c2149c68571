/* events: statistics at intervals, and a line when the kernel killed something for memory. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>

#include "cgroup_stats.h"
#include "cleanup.h"
#include "io.h"
#include "oci_internal.h"

struct watch {
	const struct fb_oci *oci;
	const struct fb_oci_state *state;
	int pidfd;
	int news;	  /* v1: an eventfd; v2: an inotify descriptor; -1: there is nothing to watch */
	uint64_t killed;  /* v2: how many are known of */
	int64_t interval; /* ns */
};

/* Go's durations: "5s", "1m30s", "1.5h", "500ms". */
static int parse_interval(const char *text, int64_t *ret_ns, struct fb_error *err)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	double total = 0;
	const char *at = text;

	while (*at) {
		char *end;
		double number = (*at >= '0' && *at <= '9') || *at == '.' ? strtod(at, &end) : -1;
		size_t length = number < 0 ? 0 : strcspn(end, "0123456789."), i = 0;

		while (i < 7 && (number < 0 || strlen(units[i].name) != length || memcmp(units[i].name, end, length) != 0))
			i++;
		if (i == 7)
			return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "interval", text, "must be a time as 5s");
		total += number * units[i].ns;
		at = end + length;
	}
	if (!(total >= 1 && total < 0x1p62))
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", text, "the interval must be greater than 0");
	*ret_ns = (int64_t)total;
	return 0;
}

static int put_stats(const struct watch *watch)
{
	struct fb_json_out json = {.out = stdout};
	struct fb_cgroup_stats stats;
	struct fb_error err = {0};
	int r = fb_cgroup_stats(&watch->state->cgroup, &stats, &err);

	if (r < 0)
		return fb_oci_fail(watch->oci, 1, &err, NULL);
	fb_out_open(&json, NULL, '{');
	fb_out_text(&json, "type", "stats");
	fb_out_text(&json, "id", watch->state->id);
	fb_oci_put_stats(&json, &stats);
	fb_out_close(&json, '}');
	putchar('\n');
	fb_cgroup_stats_free(&stats);
	return fb_out_end(watch->oci, stdout);
}

static int put_oom(const struct watch *watch)
{
	struct fb_json_out json = {.out = stdout};

	fb_out_open(&json, NULL, '{');
	fb_out_text(&json, "type", "oom");
	fb_out_text(&json, "id", watch->state->id);
	fb_out_close(&json, '}');
	putchar('\n');
	return fb_out_end(watch->oci, stdout);
}

/* --- out of memory --- */

static int open_in(const char *directory, const char *file, int flags)
{
	fb_auto_free char *path = NULL;

	return asprintf(&path, "%s/%s", directory, file) < 0 ? -1 : open(path, flags | O_CLOEXEC);
}

/* v1: the kernel counts up an eventfd for each (Documentation/admin-guide/cgroup-v1/memory.rst, section 10). */
static int watch_v1(const char *directory)
{
	fb_auto_close int control = open_in(directory, "memory.oom_control", O_RDONLY);
	fb_auto_close int registry = open_in(directory, "cgroup.event_control", O_WRONLY);
	fb_auto_close int news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char line[32];

	snprintf(line, sizeof(line), "%d %d", news, control);
	if (control < 0 || registry < 0 || news < 0 || fb_write_all(registry, line, strlen(line)) < 0)
		return -1;
	return fb_steal_fd(&news);
}

static uint64_t count_killed(const char *directory)
{
	fb_auto_close int fd = open_in(directory, "memory.events", O_RDONLY);
	char text[512], *line;
	ssize_t length = fd < 0 ? -1 : fb_read_all(fd, text, sizeof(text) - 1);

	if (length <= 0)
		return 0;
	text[length] = '\0';
	line = strstr(text, "\noom_kill ");
	return line ? strtoull(line + 10, NULL, 10) : 0;
}

static int watch_v2(const char *directory)
{
	fb_auto_close int news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	fb_auto_free char *path = NULL;

	if (news < 0 || asprintf(&path, "%s/memory.events", directory) < 0 || inotify_add_watch(news, path, IN_MODIFY) < 0)
		return -1;
	return fb_steal_fd(&news);
}

static void watch_memory(struct watch *watch)
{
	const struct fb_cgroup *group = &watch->state->cgroup;

	if (!group->memory[0])
		return;
	if (group->mode != FB_CGROUP_V2) {
		watch->news = watch_v1(group->memory);
		return;
	}
	watch->news = watch_v2(group->memory);
	watch->killed = count_killed(group->memory);
}

static int take_news(struct watch *watch)
{
	const struct fb_cgroup *group = &watch->state->cgroup;
	char buffer[4096];
	uint64_t killed;

	if (watch->news < 0 || read(watch->news, buffer, sizeof(buffer)) <= 0)
		return 0;
	/* v1's descriptor also counts the removal of the group. */
	if (group->mode != FB_CGROUP_V2)
		return access(group->memory, F_OK) == 0 ? put_oom(watch) : 0;
	killed = count_killed(group->memory);
	if (killed <= watch->killed)
		return 0;
	watch->killed = killed;
	return put_oom(watch);
}

/* --- the loop --- */

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int follow(struct watch *watch)
{
	struct pollfd fds[] = {{.fd = watch->pidfd, .events = POLLIN}, {.fd = watch->news, .events = POLLIN}};
	int64_t next = now() + watch->interval;
	int code = 0;

	while (code == 0) {
		int64_t left = next - now();
		struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		int ready = left <= 0 ? 0 : ppoll(fds, 2, &wait, NULL);

		if (ready < 0 && errno != EINTR)
			return fb_oci_die(watch->oci, 1, "poll: %s", strerrordesc_np(errno));
		if (ready > 0)
			code = take_news(watch);
		/* After the news: what ended it may have been the memory. */
		if (ready > 0 && fds[0].revents)
			return code;
		if (ready == 0 && code == 0) {
			code = put_stats(watch);
			next += watch->interval;
			if (next <= now())
				next = now() + watch->interval;
		}
	}
	return code;
}

int fb_oci_events(const struct fb_oci *oci, int argc, char **argv)
{
	const char *interval = "5s", *id;
	bool once = false;
	const struct fb_oci_option table[] = {
		{"interval", 0, FB_OCI_TEXT, &interval}, {"stats", 0, FB_OCI_FLAG, &once}, {.kind = FB_OCI_ANYWHERE}};
	struct fb_oci_state state = {.directory = -1};
	struct watch watch = {.oci = oci, .state = &state, .pidfd = -1, .news = -1};
	struct fb_error err = {0};
	int code;

	if (fb_oci_options_id(table, argc, argv, &id, &err) < 0 || parse_interval(interval, &watch.interval, &err) < 0 ||
	    fb_oci_state_open(oci, id, false, &state, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	watch.pidfd = fb_oci_state_pidfd(&state, &err);
	if (watch.pidfd < 0) {
		code = fb_oci_fail(oci, 1, &err, NULL);
	} else if (once) {
		code = put_stats(&watch);
	} else {
		watch_memory(&watch);
		code = follow(&watch);
	}
	fb_cleanup_fd(&watch.pidfd);
	fb_cleanup_fd(&watch.news);
	fb_oci_state_close(&state);
	return code;
}
