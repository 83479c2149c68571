#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "freeze.h"
#include "network_live.h"
#include "pty.h"
#include "quote.h"
#include "record.h"
#include "release.h"
#include "restart.h"
#include "streams.h"
#include "task.h"
#include "update.h"

#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", (path), (detail))

/* Negative: an error to be answered; 0: a plain {"ok":true} to be sent; 1: the answer was sent, or will be. */
typedef int handler(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		    int *ret_exit, struct fb_error *err);

static handler do_launch, do_exec, do_attach, do_resize, do_kill, do_stop, do_wait, do_sync, do_close,
	do_discard, do_freeze, do_pause, do_restart, do_policy, do_update, do_lease;

static handler *const handlers[FB_OP_COUNT] = {
	[FB_OP_LAUNCH] = do_launch, [FB_OP_EXEC] = do_exec, [FB_OP_ATTACH] = do_attach,
	[FB_OP_RESIZE] = do_resize, [FB_OP_KILL] = do_kill,	[FB_OP_STOP] = do_stop,
	[FB_OP_WAIT] = do_wait,	    [FB_OP_SYNC] = do_sync,	[FB_OP_CLOSE] = do_close,
	[FB_OP_DISCARD] = do_discard,   [FB_OP_FREEZE] = do_freeze, [FB_OP_PAUSE] = do_pause,
	[FB_OP_RESTART] = do_restart, [FB_OP_POLICY] = do_policy, [FB_OP_LEASE] = do_lease,
	[FB_OP_UPDATE] = do_update, [FB_OP_CONNECT] = fb_network_connect, [FB_OP_DISCONNECT] = fb_network_disconnect,
	[FB_OP_DNS] = fb_network_dns,
};

static bool answer(struct fb_supervisor *sup, struct fb_conversation *conversation, const char *text)
{
	return fb_conversation_send(sup, conversation, text, strlen(text));
}

static void answer_error(struct fb_supervisor *sup, struct fb_conversation *conversation, int exit_code,
			 const struct fb_error *error)
{
	char path[sizeof(error->path) * FB_QUOTE_WORST + 1], detail[sizeof(error->detail) * FB_QUOTE_WORST + 1];
	char text[2048];

	fb_quote_string(path, sizeof(path), error->path);
	fb_quote_string(detail, sizeof(detail), error->detail);
	snprintf(text, sizeof(text),
		 "{\"error\":{\"code\":%d,\"stage\":\"%s\",\"call\":\"%s\",\"path\":\"%s\",\"detail\":\"%s\","
		 "\"exit\":%d,\"line\":%u}}",
		 error->code, fb_stage_name(error->stage), error->call, path, detail, exit_code, error->line);
	answer(sup, conversation, text);
}

void fb_request_send_exit(struct fb_supervisor *sup, struct fb_conversation *conversation, const struct fb_task *task)
{
	char text[384];
	int length = snprintf(text, sizeof(text), "{\"event\":\"exit\",\"id\":\"%s\",\"code\":%d,\"signal\":%d,\"oom\":%s",
			      task->container->id, task->code, task->signal,
			      task->exec == 0 && task->container->oom ? "true" : "false");

	if (task->exec)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
				   ",\"cpu\":%" PRId64 ",\"memory\":%" PRId64 ",\"timed_out\":%s", task->cpu, task->memory,
				   task->timed_out ? "true" : "false");
	length += snprintf(text + length, sizeof(text) - (size_t)length, "}");

	fb_conversation_send(sup, conversation, text, (size_t)length);
}

void fb_request_send_start(struct fb_supervisor *sup, struct fb_container *container, int exit_code,
			   const struct fb_error *error)
{
	char text[128];
	struct fb_conversation *next;

	snprintf(text, sizeof(text), "{\"event\":\"start\",\"id\":\"%s\",\"pid\":%d}", container->id, (int)container->task.pid);
	for (struct fb_conversation *c = sup->conversations; c; c = next) {
		next = c->next;
		if (c->starting != container)
			continue;
		c->starting = NULL;
		if (error)
			answer_error(sup, c, exit_code, error);
		else
			answer(sup, c, text);
	}
}

void fb_request_not_started(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_error err = {0};

	FB_FAIL_CODE(&err, FB_STAGE_REQUEST, ESRCH, "request", container->id, "it was stopped meanwhile");
	fb_request_send_start(sup, container, 125, &err);
}

void fb_request_answer_sync(struct fb_supervisor *sup)
{
	struct fb_conversation *next;
	char text[64];

	if (sup->releaser.pending)
		return;
	for (struct fb_conversation *c = sup->conversations; c; c = next) {
		next = c->next;
		if (c->syncing) {
			c->syncing = false;
			snprintf(text, sizeof(text), "{\"ok\":true,\"held\":%u}", fb_container_count(sup));
			answer(sup, c, text);
		}
	}
}

static struct fb_task *find_task(struct fb_supervisor *sup, const struct fb_request *request, struct fb_error *err)
{
	struct fb_container *container = fb_container_find(sup, request->id);
	struct fb_task *task = container ? fb_task_find(container, request->exec) : NULL;

	if (!task)
		FAIL(container ? ESRCH : ENOENT, request->id,
		     container ? "no such exec, or it has ended" : "no such container here, or it has ended");
	return task;
}

/* One conversation is told of one exit, so a second subject is refused. */
static int check_free(const struct fb_conversation *conversation, struct fb_error *err)
{
	return conversation->subject ? FAIL(EBUSY, NULL, "the conversation waits for an exit already") : 0;
}

/* With an epoll of one thread, the answer is sent before anything that happens to the task can be. */
static int answer_subject(struct fb_supervisor *sup, const struct fb_request *request,
			  struct fb_conversation *conversation, struct fb_task *task)
{
	char text[4096], clocks[1800];
	size_t length = (size_t)snprintf(text, sizeof(text), "{\"ok\":true,\"pid\":%d", (int)task->pid);

	if (task->exec)
		length += (size_t)snprintf(text + length, sizeof(text) - length, ",\"exec\":\"%u\"", task->exec);
	else
		length += (size_t)snprintf(text + length, sizeof(text) - length, ",\"held\":%u", fb_container_count(sup));
	if (request->timed)
		length += (size_t)snprintf(text + length, sizeof(text) - length, ",\"supervisor\":%d,\"clocks\":",
					   (int)getpid());
	for (int i = 0; i < 3 && request->timed; i++) {
		fb_clocks_json(clocks, sizeof(clocks), &request->clocks[i]);
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%c%s", i ? ',' : '[', clocks);
	}
	snprintf(text + length, sizeof(text) - length, "%s}", request->timed ? "]" : "");
	answer(sup, conversation, text);
	return 1;
}

static int do_launch(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task;
	int r = check_free(conversation, err);

	if (r == 0 && sup->closing)
		r = FAIL(ESHUTDOWN, NULL, "the supervisor is ending");
	if (r == 0 && request->tied && !sup->tied)
		r = FAIL(EINVAL, "tied", "this supervisor has no owner");
	if (r == 0)
		r = fb_task_launch(sup, request, conversation, &task, ret_exit, err);
	if (r < 0)
		return r;
	conversation->subject = task;
	return answer_subject(sup, request, conversation, task);
}

static int do_exec(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   int *ret_exit, struct fb_error *err)
{
	struct fb_task *task;
	int r = check_free(conversation, err);

	if (r == 0)
		r = fb_task_exec(sup, request, conversation, &task, ret_exit, err);
	if (r < 0)
		return r;
	if (!request->detach)
		conversation->subject = task;
	/* The exit tells that it was started: who waits for that is not woken in between. */
	if (request->quiet)
		return 1;
	return answer_subject(sup, request, conversation, task);
}

static int do_attach(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	int r = task ? check_free(conversation, err) : -1;

	(void)ret_exit;
	if (r == 0 && task->finished)
		r = FAIL(EBUSY, request->id, "it is starting again: wait until it runs");
	if (r == 0)
		r = fb_task_attach(sup, task, request, conversation, err);
	if (r == 0)
		conversation->subject = task;
	return r;
}

static int do_resize(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	int r;

	(void)conversation;
	(void)ret_exit;
	if (!task)
		return -1;
	if (!task->terminal || task->stdin_to < 0)
		return FAIL(ENOTTY, request->id, "it has no terminal");
	r = fb_pty_resize(task->stdin_to, (unsigned short)request->rows, (unsigned short)request->columns);
	return r < 0 ? FAIL(-r, request->id, NULL) : 0;
}

/* A signal after which no policy starts it again: the one that it is stopped with, or any when none was chosen for that. */
static bool means_end(const struct fb_container *container, int signal)
{
	return signal == SIGKILL || !container->stop_signal || signal == container->stop_signal;
}

/* A client wants it to end. What is paused could not. */
static void end_for_good(struct fb_supervisor *sup, struct fb_container *container)
{
	container->stopped = true;
	container->again = false;
	if (container->paused)
		(void)fb_pause(sup, container, false, NULL);
	fb_restart_hurry(sup, container);
}

static int do_kill(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);

	(void)conversation;
	(void)ret_exit;
	if (!task)
		return -1;
	if (task->exec == 0 && means_end(task->container, request->signal)) {
		/* As docker has it: one that waits to be started again is told no more than that. */
		end_for_good(sup, task->container);
		if (task->container->restarting)
			return 0;
	}
	return fb_task_signal(task, request->signal, err);
}

static int do_stop(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	int r;

	(void)ret_exit;
	if (!task)
		return -1;
	end_for_good(sup, task->container);
	r = fb_task_stop(sup, task, request->signal, request->timeout, err);
	if (r == 0 && !conversation->subject)
		conversation->subject = task;
	return r;
}

static int do_wait(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	int r = task ? check_free(conversation, err) : -1;

	(void)ret_exit;
	if (r == 0)
		conversation->subject = task;
	return r;
}

static int do_sync(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   int *ret_exit, struct fb_error *err)
{
	(void)request;
	(void)ret_exit;
	(void)err;
	conversation->syncing = true;
	fb_request_answer_sync(sup);
	return 1;
}

/* What the end of the owner does, asked for: the end of the conversation says that it is done. */
static int do_close(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		    int *ret_exit, struct fb_error *err)
{
	(void)request;
	(void)conversation;
	(void)ret_exit;
	(void)err;
	fb_supervise_close(sup);
	return 0;
}

/* The owner's pidfd tells of its end, but not of an execve: the program that comes then knows of no session. Its kernel closes this
 * conversation, as it does when the owner ends. */
static int do_lease(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		    int *ret_exit, struct fb_error *err)
{
	(void)request;
	(void)ret_exit;
	if (!sup->tied)
		return FAIL(EINVAL, "lease", "this supervisor has no owner");
	conversation->lease = true;
	return 0;
}

/* The directory of a container that has ended becomes trash at once; removing it is the releaser's. */
static int do_discard(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		      int *ret_exit, struct fb_error *err)
{
	const char *slash = strrchr(request->bundle, '/');
	struct fb_release release = {.run = sup->run, .id = request->id, .directory = request->bundle, .trash = true};
	int r;

	(void)ret_exit;
	if (!slash || strcmp(slash + 1, request->id) != 0)
		return FAIL(EINVAL, request->bundle, "not this container's directory");
	if (fb_container_find(sup, request->id))
		return FAIL(EBUSY, request->id, "it has not ended");
	r = fb_record_trash(request->bundle, request->name, err);
	if (r < 0)
		return r;
	answer(sup, conversation, "{\"ok\":true}");
	fb_release(&sup->releaser, &release);
	return 1;
}

static int do_freeze(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);

	(void)ret_exit;
	if (!task)
		return -1;
	if (task->finished)
		return FAIL(ESRCH, request->id, "it is starting again");
	return request->frozen ? fb_freeze(task->container, conversation, err)
			       : fb_thaw(task->container, conversation, err);
}

static int do_pause(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		    int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);

	(void)conversation;
	(void)ret_exit;
	if (!task)
		return -1;
	if (task->finished)
		return FAIL(EBUSY, request->id, "it is starting again: wait until it runs");
	return fb_pause(sup, task->container, request->paused, err);
}

/* Stop and start again, whatever its policy says; the conversation is told of the start. */
static int do_restart(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		      int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	struct fb_container *container = task ? task->container : NULL;

	(void)ret_exit;
	if (!task)
		return -1;
	if (sup->closing)
		return FAIL(ESHUTDOWN, NULL, "the supervisor is ending");
	end_for_good(sup, container);
	container->again = true;
	container->restart.count = container->restart.wait_ms = 0;
	conversation->starting = container;
	return fb_task_stop(sup, task, request->signal, request->timeout, err);
}

/* The policy of one that runs; its bundle has been changed by who asks. */
static int do_policy(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);
	enum fb_restart_policy policy;

	(void)conversation;
	(void)ret_exit;
	if (!task)
		return -1;
	if (!fb_restart_policy_of(request->policy, &policy))
		return FAIL(EINVAL, request->policy, "unknown restart policy");
	task->container->restart.policy = policy;
	task->container->restart.most = (uint32_t)request->most;
	return 0;
}

static int do_update(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		     int *ret_exit, struct fb_error *err)
{
	struct fb_task *task = find_task(sup, request, err);

	(void)conversation;
	(void)ret_exit;
	return task ? fb_update(sup, task->container, request->resources, err) : -1;
}

/* Returns the message's length, 0 at the end of the conversation, or -errno; the descriptors are ours in every case. */
static ssize_t receive(struct fb_supervisor *sup, int socket, int *fds, size_t *ret_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FB_CONTROL_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = sup->message, .iov_len = FB_CONTROL_MAX_MESSAGE};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_count = 0;
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds + *ret_count, CMSG_DATA(c), count * sizeof(int));
		*ret_count += count;
	}
	return message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : n;
}

static void handle(struct fb_supervisor *sup, struct fb_conversation *conversation, size_t length, int *fds,
		   size_t fd_count)
{
	struct fb_error err = {0};
	struct fb_request request;
	uint64_t begin = fb_now();
	int exit_code = 125, r = fb_request_parse(sup->message, length, fds, fd_count, &request, &err);

	if (r == 0) {
		request.clocks[0].begin = begin;
		r = handlers[request.operation](sup, &request, conversation, &exit_code, &err);
		fb_request_free(&request);
	}
	if (r < 0)
		answer_error(sup, conversation, exit_code, &err);
	else if (r == 0)
		answer(sup, conversation, "{\"ok\":true}");
	/* One supervisor per container is a page here and a page there, for ever: give back what the launch needed. */
	if (!sup->tied)
		malloc_trim(0);
}

void fb_request_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_conversation *conversation = FB_CONTAINER_OF(source, struct fb_conversation, source);
	struct fb_error err = {0};
	int fds[FB_CONTROL_MAX_FDS];
	size_t fd_count = 0;
	ssize_t n = receive(sup, source->fd, fds, &fd_count);

	(void)events;
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n > 0) {
		handle(sup, conversation, (size_t)n, fds, fd_count);
		return;
	}
	for (size_t i = 0; i < fd_count; i++)
		close(fds[i]);
	if (n == -EMSGSIZE) {
		FB_FAIL_CODE(&err, FB_STAGE_REQUEST, EMSGSIZE, "recvmsg", NULL, "message too large");
		answer_error(sup, conversation, 125, &err);
	} else {
		fb_conversation_close(sup, conversation);
	}
}
