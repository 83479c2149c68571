#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "pty.h"

#define BUFFER_SIZE ((size_t)65536)
#define WIDE ((size_t)1 << 20) /* the most that a pipe may be made to hold by anybody */
#define KEYS_MAX ((size_t)32)
/* How long output may be silent after the exit: what an exec left in the background holds its pipes open for ever. */
#define QUIET_MS 500

static const int caught[] = {SIGWINCH, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
#define CAUGHT_COUNT (sizeof(caught) / sizeof(caught[0]))

/* A handler has no argument of ours: the one place for a global. */
static volatile sig_atomic_t signal_pipe = -1;

struct flow { /* one direction */
	int from, to;
	char *data;
	size_t start, end;
	bool discard; /* nobody takes it: read on, so that the writer is not stopped */
	bool broken;  /* its reader is gone */
	bool splice;  /* from pipe to pipe: no byte is copied */
	bool full;    /* and the second one takes no more */
	bool wide;
};

struct pump {
	const struct fb_attach *attach;
	struct flow in, out[2];
	size_t matched; /* how many detach keys in a row */
	int signals[2];
	struct sigaction saved[CAUGHT_COUNT];
	struct termios terminal;
	bool raw, event, lost;
	int raised; /* a signal that is for ourselves */
};

static void on_signal(int signal)
{
	int saved = errno;
	unsigned char number = (unsigned char)signal;
	ssize_t n = write(signal_pipe, &number, 1);

	(void)n;
	errno = saved;
}

/* Without forwarding only a raw terminal needs us to see a signal first. */
static bool is_wanted(const struct fb_attach *attach, int signal)
{
	if (signal == SIGPIPE)
		return true;
	return attach->signals ? signal != SIGWINCH || attach->terminal : attach->terminal && signal != SIGUSR1 && signal != SIGUSR2;
}

static int catch_signals(struct pump *pump, struct fb_error *err)
{
	if (pipe2(pump->signals, O_CLOEXEC | O_NONBLOCK) < 0)
		return FB_FAIL(err, FB_STAGE_STDIO, "pipe2", NULL);
	signal_pipe = pump->signals[1];
	for (size_t i = 0; i < CAUGHT_COUNT; i++) {
		struct sigaction action = {.sa_handler = caught[i] == SIGPIPE ? SIG_IGN : on_signal,
					   .sa_flags = SA_RESTART};

		if (is_wanted(pump->attach, caught[i]))
			sigaction(caught[i], &action, &pump->saved[i]);
	}
	return 0;
}

static void restore(struct pump *pump)
{
	if (pump->raw)
		fb_pty_restore(0, &pump->terminal);
	pump->raw = false;
	for (size_t i = 0; i < CAUGHT_COUNT && pump->signals[0] >= 0; i++)
		if (is_wanted(pump->attach, caught[i]))
			sigaction(caught[i], &pump->saved[i], NULL);
	fb_cleanup_fd(&pump->signals[0]);
	fb_cleanup_fd(&pump->signals[1]);
	free(pump->in.data);
	free(pump->out[0].data);
	free(pump->out[1].data);
}

static void send_text(const struct pump *pump, const char *text, int length)
{
	/* A supervisor that does not take it is about to end the conversation anyway. */
	(void)send(pump->attach->control, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_signal(const struct pump *pump, int signal)
{
	const char *exec = pump->attach->exec;
	char text[256];
	int length = snprintf(text, sizeof(text), "{\"op\":\"kill\",\"id\":\"%s\"%s%s%s,\"signal\":%d}", pump->attach->id,
			      exec ? ",\"exec\":\"" : "", exec ? exec : "", exec ? "\"" : "", signal);

	if (length < (int)sizeof(text))
		send_text(pump, text, length);
}

static void send_size(const struct pump *pump)
{
	const char *exec = pump->attach->exec;
	unsigned short rows, columns;
	char text[256];
	int length;

	if (fb_pty_size(0, &rows, &columns) < 0 && fb_pty_size(1, &rows, &columns) < 0)
		return;
	length = snprintf(text, sizeof(text), "{\"op\":\"resize\",\"id\":\"%s\"%s%s%s,\"rows\":%u,\"cols\":%u}", pump->attach->id,
			  exec ? ",\"exec\":\"" : "", exec ? exec : "", exec ? "\"" : "", rows, columns);
	if (length < (int)sizeof(text))
		send_text(pump, text, length);
}

/* Returns whether there was any. */
static bool handle_signals(struct pump *pump)
{
	unsigned char number;
	bool any = false;

	while (read(pump->signals[0], &number, 1) == 1) {
		any = true;
		if (number == SIGWINCH)
			send_size(pump);
		else if (pump->attach->signals)
			send_signal(pump, number);
		else
			pump->raised = number;
	}
	return any;
}

static size_t pending(const struct flow *flow)
{
	return flow->end - flow->start;
}

static bool is_fifo_or_terminal(int fd)
{
	return isatty(fd) || lseek(fd, 0, SEEK_CUR) < 0;
}

/* Our own 1 and 2 are shared with whoever started us, so they stay blocking: what poll called writable takes PIPE_BUF bytes without
 * waiting, and a file takes everything. */
static void flow_write(struct flow *flow, bool nonblocking)
{
	size_t length = pending(flow);
	ssize_t n;

	if (!nonblocking && length > PIPE_BUF && is_fifo_or_terminal(flow->to))
		length = PIPE_BUF;
	n = write(flow->to, flow->data + flow->start, length);
	if (n > 0)
		flow->start += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		flow->broken = errno == EPIPE;
		flow->discard = true; /* ENOSPC: our file is full */
	}
	if (flow->discard)
		flow->start = flow->end;
}

static void output_read(struct flow *flow)
{
	ssize_t n = read(flow->from, flow->data, BUFFER_SIZE);

	if (n > 0) {
		flow->start = 0;
		flow->end = flow->discard ? 0 : (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		flow->from = -1;
	}
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Never waits, whatever our own 1 and 2 are. Which of the two pipes was not ready the answer does not say: they are awaited in turn. */
static void output_move(struct flow *flow)
{
	ssize_t n = splice(flow->from, NULL, flow->to, NULL, WIDE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	bool was_full = flow->full;

	flow->full = false;
	if (n == 0) {
		flow->from = -1;
	} else if (n < 0 && errno == EAGAIN) {
		flow->full = !was_full;
	} else if (n < 0 && errno == EPIPE) {
		flow->broken = true;
	} else if (n < 0 && errno != EINTR) {
		flow->splice = false;
	} else if (n >= (ssize_t)BUFFER_SIZE && !flow->wide) {
		flow->wide = true;
		(void)fcntl(flow->from, F_SETPIPE_SZ, WIDE);
	}
}

/* Copy what was typed, but hold back what may be the beginning of the detach keys. True: they are complete. */
static bool filter_keys(struct pump *pump, const unsigned char *typed, size_t length)
{
	const unsigned char *keys = pump->attach->detach_keys;
	size_t count = pump->attach->detach_count;
	char *to = pump->in.data;

	for (size_t i = 0; i < length; i++) {
		unsigned char held[KEYS_MAX + 1];
		size_t used = pump->matched, from = 0;

		memcpy(held, keys, used);
		held[used++] = typed[i];
		/* The longest end of it that still begins the sequence stays held, what is before it was typed in earnest. */
		while (from < used && memcmp(held + from, keys, used - from) != 0)
			*to++ = (char)held[from++];
		pump->matched = used - from;
		if (pump->matched == count)
			break;
	}
	pump->in.start = 0;
	pump->in.end = (size_t)(to - pump->in.data);
	return pump->matched == count;
}

/* The end of our input is the end of the container's. The descriptor is the caller's to close, so its number is kept. */
static void close_input(struct pump *pump)
{
	fb_auto_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0)
		(void)dup3(null, pump->attach->stdin_to, O_CLOEXEC);
	pump->in.from = -1;
}

/* True: the detach keys were typed. */
static bool input_read(struct pump *pump)
{
	bool keys = pump->attach->terminal && pump->attach->detach_count;
	unsigned char typed[4096];
	ssize_t n = keys ? read(0, typed, sizeof(typed)) : read(0, pump->in.data, BUFFER_SIZE);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		close_input(pump);
		return false;
	}
	if (keys)
		return filter_keys(pump, typed, (size_t)n);
	pump->in.start = 0;
	pump->in.end = (size_t)n;
	return false;
}

static void input_write(struct pump *pump)
{
	flow_write(&pump->in, true);
	if (pump->in.discard)
		pump->in.from = -1; /* nobody reads it any more */
}

static int receive_event(struct pump *pump, char *ret_event, size_t size)
{
	static const char prefix[] = "{\"event\":";
	char text[4096];
	int n = fb_control_receive(pump->attach->control, text, sizeof(text) - 1, 0, NULL);

	if (n == -ETIMEDOUT || n == -EINTR)
		return 0;
	if (n <= 0) {
		pump->lost = true;
		return 0;
	}
	text[n] = '\0';
	/* Answers to our kills and resizes arrive here too, and say nothing that could be acted on. */
	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	if ((size_t)n >= size)
		return -EMSGSIZE;
	memcpy(ret_event, text, (size_t)n + 1);
	pump->event = true;
	return 0;
}

static bool is_drained(const struct pump *pump)
{
	for (int i = 0; i < 2; i++)
		if (pump->out[i].from >= 0 || pending(&pump->out[i]))
			return false;
	return true;
}

enum { P_SIGNALS, P_CONTROL, P_IN, P_OUT, P_ERR, P_COUNT };

/* Each flow waits for its reader while it has bytes and for its writer while it has none. A negative descriptor is not waited for. */
static void fill_poll(const struct pump *pump, struct pollfd polls[P_COUNT])
{
	bool over = pump->event || pump->lost;

	polls[P_SIGNALS] = (struct pollfd){pump->signals[0], POLLIN, 0};
	polls[P_CONTROL] = (struct pollfd){over ? -1 : pump->attach->control, POLLIN, 0};
	if (pending(&pump->in))
		polls[P_IN] = (struct pollfd){over ? -1 : pump->in.to, POLLOUT, 0};
	else
		polls[P_IN] = (struct pollfd){over ? -1 : pump->in.from, POLLIN, 0};
	for (int i = 0; i < 2; i++)
		if (pending(&pump->out[i]) || pump->out[i].full)
			polls[P_OUT + i] = (struct pollfd){pump->out[i].to, POLLOUT, 0};
		else
			polls[P_OUT + i] = (struct pollfd){pump->out[i].from, POLLIN, 0};
}

/* 0: go on; else the end's enum, or -errno. */
static int step(struct pump *pump, char *ret_event, size_t size)
{
	struct pollfd polls[P_COUNT];
	bool over = pump->event || pump->lost;
	bool stuck = pending(&pump->out[0]) || pending(&pump->out[1]) || pump->out[0].full || pump->out[1].full;
	int r;

	if (over && is_drained(pump))
		return pump->event ? FB_ATTACH_EVENT : FB_ATTACH_LOST;
	fill_poll(pump, polls);
	r = poll(polls, P_COUNT, over && !stuck ? QUIET_MS : -1);
	if (r < 0 && errno != EINTR)
		return -errno;
	if (r == 0)
		return pump->event ? FB_ATTACH_EVENT : FB_ATTACH_LOST;
	/* Interrupted, but not by a signal of ours: a handler of the caller's has run, and it decides. */
	if ((r < 0 || polls[P_SIGNALS].revents) && !handle_signals(pump) && r < 0)
		return -EINTR;
	if (pump->raised)
		return -EINTR;
	if (r < 0)
		return 0;
	for (int i = 0; i < 2; i++)
		if (polls[P_OUT + i].revents && pending(&pump->out[i]))
			flow_write(&pump->out[i], false);
		else if (polls[P_OUT + i].revents && pump->out[i].splice)
			output_move(&pump->out[i]);
		else if (polls[P_OUT + i].revents)
			output_read(&pump->out[i]);
	/* As SIGPIPE ends any other program whose output nobody reads; the container goes on. */
	if (pump->out[0].broken || pump->out[1].broken)
		return -EPIPE;
	if (polls[P_IN].revents && pending(&pump->in))
		input_write(pump);
	else if (polls[P_IN].revents && input_read(pump)) {
		input_write(pump); /* what was typed before the keys, if there is room */
		return FB_ATTACH_DETACHED;
	}
	return polls[P_CONTROL].revents ? receive_event(pump, ret_event, size) : 0;
}

static int prepare(struct pump *pump, struct fb_error *err)
{
	const struct fb_attach *attach = pump->attach;
	int flags = attach->stdin_to >= 0 ? fcntl(attach->stdin_to, F_GETFL) : -1;

	pump->in = (struct flow){.from = attach->stdin_to >= 0 ? 0 : -1, .to = attach->stdin_to};
	pump->out[0] = (struct flow){.from = attach->stdout_from, .to = 1};
	pump->out[1] = (struct flow){.from = attach->stderr_from, .to = 2};
	for (int i = 0; i < 2; i++)
		pump->out[i].splice = pump->out[i].from >= 0 && is_pipe(pump->out[i].to);
	/* What is held back of a broken sequence comes on top of one read. */
	pump->in.data = malloc(BUFFER_SIZE);
	pump->out[0].data = malloc(BUFFER_SIZE);
	pump->out[1].data = malloc(BUFFER_SIZE);
	if (!pump->in.data || !pump->out[0].data || !pump->out[1].data)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
	if (attach->detach_count > KEYS_MAX)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, EINVAL, "attach", NULL, "too many detach keys");
	/* A container that does not read its input must not keep us from carrying its output. */
	if (flags >= 0)
		(void)fcntl(attach->stdin_to, F_SETFL, flags | O_NONBLOCK);
	return catch_signals(pump, err);
}

int fb_control_attach(const struct fb_attach *attach, char *ret_event, size_t size, struct fb_error *err)
{
	struct pump pump = {.attach = attach, .signals = {-1, -1}};
	int r = prepare(&pump, err);

	if (r < 0) {
		restore(&pump);
		return r;
	}
	if (attach->terminal && attach->stdin_to >= 0 && fb_pty_raw(0, &pump.terminal) == 0)
		pump.raw = true;
	if (attach->terminal)
		send_size(&pump); /* it may have changed since the request was made */
	do
		r = step(&pump, ret_event, size);
	while (r == 0);
	restore(&pump);
	if (pump.raised)
		raise(pump.raised);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_STDIO, -r, "poll", NULL, NULL) : r;
}
