#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "launch.h"
#include "quote.h"
#include "request.h"
#include "task.h"

#define RESULTS 5
#define OUTPUT_MAX ((size_t)4096) /* of a probe; the rest is dropped */
#define TEXT_MAX (OUTPUT_MAX + 64)

struct result {
	struct timespec begin, end;
	int code;
	char *output;
};

struct fb_health {
	struct fb_container *container;
	struct fb_health_spec spec; /* `document` is ours */
	struct fb_health_state state;
	struct fb_source timer, output; /* when to probe; what the probe says */
	struct fb_task *probe;		/* NULL: none runs */
	struct timespec begin;		/* of the probe */
	uint64_t since;			/* then: nanoseconds since the container's start */
	char *text;
	size_t length;
	bool cut;
	struct result results[RESULTS]; /* oldest first */
	int count;
};

static uint64_t since_start(const struct fb_health *health)
{
	return fb_now() - health->container->began;
}

static void arm(struct fb_supervisor *sup, struct fb_health *health)
{
	uint64_t next = fb_health_next(&health->state, &health->spec, since_start(health));

	(void)fb_source_timer(sup, &health->timer, (double)next / 1e9);
}

/* --- on disk --- */

static void put_result(FILE *out, const struct result *result)
{
	char begin[FB_TIME_SIZE], end[FB_TIME_SIZE];
	size_t length = strlen(result->output);
	char *quoted = malloc(length * FB_QUOTE_WORST + 1);

	fb_time_format(&result->begin, begin);
	fb_time_format(&result->end, end);
	fprintf(out, "{\"Start\":\"%s\",\"End\":\"%s\",\"ExitCode\":%d,\"Output\":\"%.*s\"}", begin, end, result->code,
		quoted ? (int)fb_quote(quoted, result->output, length) : 0, quoted ? quoted : "");
	free(quoted);
}

static void publish(const struct fb_health *health)
{
	fb_auto_free char *text = NULL;
	char path[PATH_MAX];
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	fprintf(out, "{\"schema\":1,\"Status\":\"%s\",\"FailingStreak\":%u,\"Log\":[", fb_health_name(health->state.status),
		health->state.streak);
	for (int i = 0; i < health->count; i++) {
		if (i)
			putc(',', out);
		put_result(out, &health->results[i]);
	}
	fputs("]}\n", out);
	if (fclose(out) != 0)
		return;
	snprintf(path, sizeof(path), "%s/health", health->container->directory);
	/* Lost with a full disk: the next one tries again. */
	(void)fb_write_file(AT_FDCWD, path, text, length, 0);
}

static void keep(struct fb_health *health, int code, const char *output)
{
	struct result *result;

	if (health->count == RESULTS) {
		free(health->results[0].output);
		memmove(health->results, health->results + 1, (RESULTS - 1) * sizeof(health->results[0]));
		health->count--;
	}
	result = &health->results[health->count];
	*result = (struct result){.begin = health->begin, .code = code, .output = strdup(output)};
	clock_gettime(CLOCK_REALTIME, &result->end);
	if (result->output)
		health->count++;
}

/* --- a probe --- */

static void probe_output(struct fb_health *health)
{
	char rest[4096];

	for (;;) {
		size_t room = health->text ? OUTPUT_MAX - health->length : 0;
		ssize_t n = read(health->output.fd, room ? health->text + health->length : rest,
				 room ? room : sizeof(rest));

		if (n <= 0)
			return;
		if (room)
			health->length += (size_t)n;
		else
			health->cut = true;
	}
}

static void output_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	probe_output(FB_CONTAINER_OF(source, struct fb_health, output));
	if (events & (EPOLLHUP | EPOLLERR))
		fb_source_close(sup, source);
}

static void probe_ended(struct fb_supervisor *sup, struct fb_health *health, int code, const char *output)
{
	fb_source_close(sup, &health->output);
	free(health->text);
	health->text = NULL;
	health->probe = NULL;
	/* What a probe says while its container ends is not about its health. */
	if (health->container->task.reaped)
		return;
	keep(health, code, output);
	fb_health_result(&health->state, &health->spec, code, health->since);
	publish(health);
	arm(sup, health);
}

static int start_probe(struct fb_supervisor *sup, struct fb_health *health, struct fb_error *err)
{
	struct fb_container *container = health->container;
	struct fb_request request = {.operation = FB_OP_EXEC, .id = container->id, .streams = {-1, -1, -1},
				     .timeout = (double)health->spec.timeout / 1e9};
	int ends[2], exit_code, r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return FB_FAIL(err, FB_STAGE_STDIO, "pipe2", NULL);
	health->output.fd = ends[0];
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	request.streams[1] = ends[1];
	request.streams[2] = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
	request.document = open(health->spec.document, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	r = request.document < 0 ? FB_FAIL(err, FB_STAGE_REQUEST, "open", health->spec.document)
				 : fb_task_exec(sup, &request, NULL, &health->probe, &exit_code, err);
	for (int i = 0; i < 3; i++)
		fb_cleanup_fd(&request.streams[i]);
	fb_cleanup_fd(&request.document);
	if (r == 0)
		r = fb_source_watch(sup, &health->output, EPOLLIN);
	return r;
}

static void timer_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_health *health = FB_CONTAINER_OF(source, struct fb_health, timer);
	struct fb_error err = {0};
	char text[512];
	uint64_t ticks;

	(void)events;
	if (read(source->fd, &ticks, sizeof(ticks)) != (ssize_t)sizeof(ticks) || health->probe ||
	    health->container->task.reaped)
		return;
	/* Its files are being read: that is no illness. */
	if (health->container->freezer || health->container->paused) {
		arm(sup, health);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &health->begin);
	health->since = since_start(health);
	health->text = malloc(OUTPUT_MAX + 1);
	health->length = 0;
	health->cut = false;
	if (start_probe(sup, health, &err) < 0) {
		snprintf(text, sizeof(text), "cannot start: %s: %s %s%s%s", fb_stage_name(err.stage), err.call, err.path,
			 err.detail[0] ? ": " : "", err.detail[0] ? err.detail : strerrordesc_np(err.code));
		probe_ended(sup, health, -1, text);
	}
	if (!sup->tied)
		malloc_trim(0);
}

void fb_health_told(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_health *health = task->container->health;
	char text[TEXT_MAX], duration[32];
	const char *output;

	if (!health || health->probe != task)
		return;
	if (health->output.fd >= 0)
		probe_output(health);
	if (health->text)
		health->text[health->length] = '\0';
	output = health->text ? health->text : "";
	if (task->timed_out) {
		fb_health_duration(health->spec.timeout, duration, sizeof(duration));
		snprintf(text, sizeof(text), "Health check exceeded timeout (%s)%s%s", duration, *output ? ": " : "",
			 output);
	} else {
		snprintf(text, sizeof(text), "%s%s", output, health->cut ? "..." : "");
	}
	probe_ended(sup, health, task->timed_out ? -1 : task->code, text);
}

/* --- the container's life --- */

void fb_health_start(struct fb_supervisor *sup, struct fb_container *container, const struct fb_health_spec *spec)
{
	struct fb_health *health = container->health;
	char *document = spec->document ? strdup(spec->document) : NULL;

	if (!document)
		return;
	if (!health) {
		health = calloc(1, sizeof(*health));
		if (!health) {
			free(document);
			return;
		}
		health->container = container;
		health->timer = (struct fb_source){.fd = -1, .ready = timer_ready};
		health->output = (struct fb_source){.fd = -1, .ready = output_ready};
		container->health = health;
	}
	free((char *)health->spec.document);
	health->spec = *spec;
	health->spec.document = document;
	fb_health_defaults(&health->spec);
	health->state = (struct fb_health_state){0};
	publish(health);
	arm(sup, health);
}

void fb_health_stop(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_health *health = container->health;

	if (!health)
		return;
	(void)fb_source_timer(sup, &health->timer, 0);
	/* As docker has it: what does not run is not healthy. */
	health->state.status = FB_HEALTH_UNHEALTHY;
	publish(health);
}

void fb_health_paused(struct fb_supervisor *sup, struct fb_container *container)
{
	if (container->health && !container->paused && !container->health->probe)
		arm(sup, container->health);
}

void fb_health_free(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_health *health = container->health;

	if (!health)
		return;
	fb_source_close(sup, &health->timer);
	fb_source_close(sup, &health->output);
	for (int i = 0; i < health->count; i++)
		free(health->results[i].output);
	free((char *)health->spec.document);
	free(health->text);
	free(health);
	container->health = NULL;
}
