#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "task.h"

/* Once reaped, a task alone in its pid namespace leaves at most what its pipes hold. Without one, others may write on: this much is taken. */
#define DRAIN_MAX ((size_t)4 << 20)

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static size_t tap_pending(const struct fb_tap *tap)
{
	return tap->end - tap->start;
}

static bool output_blocked(const struct fb_output *output)
{
	if (output->task->reaped)
		return false;
	if (output->task->exec == 0 && fb_log_blocks(&output->task->container->log))
		return true;
	for (const struct fb_tap *tap = output->taps; tap; tap = tap->next)
		if (tap_pending(tap) > FB_TAP_MAX - FB_READ_SIZE)
			return true;
	return false;
}

static void output_resume(struct fb_supervisor *sup, struct fb_output *output)
{
	if (output->from.fd >= 0 && !output_blocked(output))
		(void)fb_source_watch(sup, &output->from, EPOLLIN);
}

void fb_tap_drop(struct fb_supervisor *sup, struct fb_tap *tap)
{
	struct fb_output *output = tap->output;

	if (output) {
		struct fb_tap **at = &output->taps;

		while (*at != tap)
			at = &(*at)->next;
		*at = tap->next;
	}
	for (int i = 0; i < 2; i++)
		if (tap->conversation->taps[i] == tap)
			tap->conversation->taps[i] = NULL;
	fb_source_close(sup, &tap->to);
	free(tap->data);
	free(tap);
	if (output)
		output_resume(sup, output);
}

/* Write what is pending. False: the tap was dropped. */
static bool tap_flush(struct fb_supervisor *sup, struct fb_tap *tap)
{
	while (tap_pending(tap)) {
		ssize_t n = write(tap->to.fd, tap->data + tap->start, tap_pending(tap));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fb_tap_drop(sup, tap);
			return false;
		}
		tap->start += (size_t)n;
	}
	if (tap_pending(tap))
		return fb_source_watch(sup, &tap->to, EPOLLOUT) == 0;
	free(tap->data);
	tap->data = NULL;
	tap->start = tap->end = tap->size = 0;
	if (!tap->output) {
		fb_tap_drop(sup, tap);
		return false;
	}
	return fb_source_watch(sup, &tap->to, 0) == 0;
}

static void tap_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_tap *tap = FB_CONTAINER_OF(source, struct fb_tap, to);

	if (events & EPOLLERR)
		fb_tap_drop(sup, tap); /* nobody reads any more */
	else if (tap_flush(sup, tap) && tap->output)
		output_resume(sup, tap->output);
}

/* Room for `length` bytes at the end of the buffer. */
static bool tap_reserve(struct fb_tap *tap, size_t length)
{
	size_t pending = tap_pending(tap), size = tap->size ? tap->size : 4096;
	char *data;

	if (tap->start) {
		memmove(tap->data, tap->data + tap->start, pending);
		tap->start = 0;
		tap->end = pending;
	}
	while (size - pending < length)
		size *= 2;
	data = size == tap->size ? tap->data : realloc(tap->data, size);
	if (!data)
		return false;
	tap->data = data;
	tap->size = size;
	return true;
}

static void tap_put(struct fb_supervisor *sup, struct fb_tap *tap, const char *data, size_t length)
{
	if (!tap_pending(tap)) {
		ssize_t n = write(tap->to.fd, data, length);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fb_tap_drop(sup, tap);
			return;
		}
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	if (!length)
		return;
	if (!tap_reserve(tap, length)) {
		fb_tap_drop(sup, tap);
		return;
	}
	memcpy(tap->data + tap->end, data, length);
	tap->end += length;
	(void)fb_source_watch(sup, &tap->to, EPOLLOUT);
}

int fb_tap_add(struct fb_supervisor *sup, struct fb_conversation *conversation, struct fb_output *output, int fd)
{
	struct fb_tap *tap = calloc(1, sizeof(*tap));
	int r = 0;

	if (!tap) {
		close(fd);
		return -ENOMEM;
	}
	tap->to = (struct fb_source){.fd = fd, .ready = tap_ready};
	tap->conversation = conversation;
	conversation->taps[output->stream - 1] = tap;
	set_nonblocking(fd);
	if (output->from.fd < 0 || (r = fb_source_watch(sup, &tap->to, 0)) < 0) {
		fb_tap_drop(sup, tap); /* ended already: the client reads the end of its pipe */
		return r;
	}
	tap->output = output;
	tap->next = output->taps;
	output->taps = tap;
	return 0;
}

static void watch_log(struct fb_supervisor *sup, struct fb_container *container)
{
	if (!fb_log_waits(&container->log))
		return;
	container->log_ready.fd = container->log.fd;
	(void)fb_source_watch(sup, &container->log_ready, EPOLLOUT);
}

static void write_log(struct fb_supervisor *sup, struct fb_container *container, int stream, size_t length)
{
	fb_log_write(&container->log, stream, sup->scratch, length);
	watch_log(sup, container);
}

void fb_log_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_container *container = FB_CONTAINER_OF(source, struct fb_container, log_ready);

	(void)events;
	/* It may be another socket afterwards. */
	fb_source_unwatch(sup, source);
	fb_log_resume(&container->log);
	watch_log(sup, container);
	for (int i = 0; i < 2; i++)
		output_resume(sup, &container->task.output[i]);
}

static void output_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_output *output = FB_CONTAINER_OF(source, struct fb_output, from);
	struct fb_task *task = output->task;
	struct fb_tap *next;
	ssize_t n = read(source->fd, sup->scratch, FB_READ_SIZE);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* a pty answers EIO when the last of its other side is closed */
		fb_output_end(sup, output);
		fb_task_output_ended(sup, task);
		return;
	}
	if (task->exec == 0)
		write_log(sup, task->container, output->stream, (size_t)n);
	for (struct fb_tap *tap = output->taps; tap; tap = next) {
		next = tap->next;
		tap_put(sup, tap, sup->scratch, (size_t)n);
	}
	if (!task->reaped) {
		if (output_blocked(output))
			fb_source_unwatch(sup, source);
	} else if (output->left > (size_t)n) {
		output->left -= (size_t)n;
	} else {
		fb_output_end(sup, output);
		fb_task_output_ended(sup, task);
	}
}

int fb_output_start(struct fb_supervisor *sup, struct fb_output *output, int fd)
{
	output->from = (struct fb_source){.fd = fd, .ready = output_ready};
	set_nonblocking(fd);
	return fb_source_watch(sup, &output->from, EPOLLIN);
}

void fb_output_drain(struct fb_supervisor *sup, struct fb_output *output)
{
	output->left = DRAIN_MAX;
	output_resume(sup, output);
}

void fb_output_end(struct fb_supervisor *sup, struct fb_output *output)
{
	fb_source_close(sup, &output->from);
	while (output->taps) {
		struct fb_tap *tap = output->taps;

		output->taps = tap->next;
		tap->output = NULL;
		(void)tap_flush(sup, tap);
	}
}

void fb_input_drop(struct fb_supervisor *sup, struct fb_input *input)
{
	input->conversation->input = NULL;
	fb_source_close(sup, &input->from);
	fb_source_close(sup, &input->to);
	free(input);
}

/* Write what was read; false: the input is gone. While the task does not read, its client is not read either, and the other way round:
 * of two ends that both report a hang-up for ever, only the awaited one may be registered. */
static bool input_flush(struct fb_supervisor *sup, struct fb_input *input)
{
	while (input->start < input->end) {
		ssize_t n = write(input->to.fd, input->data + input->start, input->end - input->start);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fb_input_drop(sup, input);
			return false;
		}
		input->start += (size_t)n;
	}
	if (input->start < input->end) {
		fb_source_unwatch(sup, &input->from);
		return fb_source_watch(sup, &input->to, EPOLLOUT) == 0;
	}
	fb_source_unwatch(sup, &input->to);
	return fb_source_watch(sup, &input->from, EPOLLIN) == 0;
}

static void input_from_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_input *input = FB_CONTAINER_OF(source, struct fb_input, from);
	ssize_t n = read(source->fd, input->data, sizeof(input->data));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fb_input_drop(sup, input);
		return;
	}
	input->start = 0;
	input->end = (size_t)n;
	(void)input_flush(sup, input);
}

static void input_to_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	(void)input_flush(sup, FB_CONTAINER_OF(source, struct fb_input, to));
}

int fb_input_add(struct fb_supervisor *sup, struct fb_conversation *conversation, int fd, int to)
{
	struct fb_input *input = calloc(1, sizeof(*input));
	int copy = fcntl(to, F_DUPFD_CLOEXEC, 6);

	if (!input || copy < 0) {
		free(input);
		close(fd);
		if (copy >= 0)
			close(copy);
		return -ENOMEM;
	}
	/* A copy has a number of its own, so a pty can be awaited for reading and for writing apart. */
	input->from = (struct fb_source){.fd = fd, .ready = input_from_ready};
	input->to = (struct fb_source){.fd = copy, .ready = input_to_ready};
	input->conversation = conversation;
	conversation->input = input;
	set_nonblocking(fd);
	set_nonblocking(copy);
	return fb_source_watch(sup, &input->from, EPOLLIN);
}
