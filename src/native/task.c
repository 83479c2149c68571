#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_group.h"
#include "exec_spec.h"
#include "freeze.h"
#include "health.h"
#include "network_live.h"
#include "pty.h"
#include "record.h"
#include "request.h"
#include "restart.h"
#include "start.h"
#include "streams.h"
#include "sys.h"

#define DRAIN_SECONDS 2 /* for what others than the task hold open; alone in its pid namespace it holds nothing once reaped */
#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", (path), (detail))

struct fb_container *fb_container_find(struct fb_supervisor *sup, const char *id)
{
	struct fb_container *c = sup->containers;

	while (c && (strcmp(c->id, id) != 0 || (c->task.finished && !c->restarting)))
		c = c->next;
	return c;
}

unsigned fb_container_count(const struct fb_supervisor *sup)
{
	unsigned count = 0;

	for (const struct fb_container *c = sup->containers; c; c = c->next)
		count++;
	return count;
}

struct fb_task *fb_task_find(struct fb_container *container, const char *exec)
{
	struct fb_task *task = container->execs;
	char number[16];

	if (!exec || !*exec)
		return &container->task;
	for (; task; task = task->next) {
		snprintf(number, sizeof(number), "%u", task->exec);
		if (strcmp(number, exec) == 0)
			break;
	}
	return task;
}

int fb_task_signal(struct fb_task *task, int signal, struct fb_error *err)
{
	if (task->reaped)
		return FAIL(ESRCH, task->container->id, "it has ended");
	if (task->exec && signal == SIGKILL) {
		fb_exec_kill(task);
		return 0;
	}
	/* Our own child, not reaped: the number can't be anybody else's. */
	if (kill(task->pid, signal) < 0)
		return FB_FAIL(err, FB_STAGE_REQUEST, "kill", task->container->id);
	if (signal == SIGKILL)
		fb_thaw_to_die(task->container);
	return 0;
}

int fb_task_stop(struct fb_supervisor *sup, struct fb_task *task, int signal, double timeout, struct fb_error *err)
{
	int r;

	if (task->reaped)
		return 0;
	r = fb_task_signal(task, signal, err);
	if (r == 0 && timeout == 0)
		r = fb_task_signal(task, SIGKILL, err);
	if (r == 0 && timeout > 0 && fb_source_timer(sup, &task->timer, timeout) < 0)
		r = FB_FAIL(err, FB_STAGE_REQUEST, "timerfd_create", task->container->id);
	return r;
}

static void kill_group(struct fb_container *container)
{
	struct fb_cgroup room;
	const struct fb_cgroup *groups = fb_container_groups(container, &room);
	const char *paths[FB_CGROUP_MAX];

	for (int i = 0; groups && i < groups->path_count; i++)
		paths[i] = groups->paths[i];
	if (groups)
		fb_cgroup_kill(paths, groups->path_count, NULL);
}

void fb_task_kill_all(struct fb_container *container)
{
	(void)fb_task_signal(&container->task, SIGKILL, NULL);
	for (struct fb_task *task = container->execs; task; task = task->next)
		(void)fb_task_signal(task, SIGKILL, NULL);
	/* The kernel ends a pid namespace with its first process; who shares another's is found by the cgroup. */
	if (!container->own_pids)
		kill_group(container);
}

static void close_log(struct fb_supervisor *sup, struct fb_container *container)
{
	fb_source_unwatch(sup, &container->log_ready);
	fb_log_close(&container->log);
}

/* Forget a container that has ended and leave the slow rest to the releaser. */
static void container_free(struct fb_supervisor *sup, struct fb_container *container, bool trash)
{
	struct fb_container **at = &sup->containers;
	struct fb_cgroup room;
	struct fb_release release = {.run = sup->run, .id = container->id, .directory = container->directory,
				     .scratch = container->scratch,
				     .trash = trash, .live = container->live,
				     .cgroup = fb_container_groups(container, &room)};

	while (*at && *at != container)
		at = &(*at)->next;
	if (*at)
		*at = container->next;
	fb_request_not_started(sup, container);
	fb_health_free(sup, container);
	fb_network_forget(container);
	fb_source_close(sup, &container->restart_timer);
	close_log(sup, container);
	fb_exec_spec_forget(sup, container);
	if (container->grouped)
		fb_cgroup_close(&container->cgroup);
	if (container->directory)
		fb_release(&sup->releaser, &release);
	free(container->bundle);
	free(container->directory);
	free(container->name);
	free(container->scratch);
	free(container);
}

/* Order, so that no observer sees a container that is neither running nor exited: the exit record (or the rename to trash), then the
 * clients' events, then the slow release, and within it the live state after the cgroups it names. Where a live state and an exit
 * record are both there, the exit record counts. Returns whether the directory is trash now. */
static bool container_record(struct fb_supervisor *sup, struct fb_container *container, const struct fb_exit *end)
{
	if (container->remove && fb_record_trash(container->directory, container->name, NULL) == 0)
		return true;
	if (fb_record_exit(container->directory, end, NULL) < 0) {
		/* The disk is full. The live state lies in memory: it stays, and a healer copies from it how this ended. */
		container->last = *end;
		container->unrecorded = true;
		if (fb_live_write(sup, container, 0, NULL) == 0)
			container->live = false;
	}
	return false;
}

static void container_end(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_exit end = {.code = container->task.code, .signal = container->task.signal, .started = container->started,
			      .stopped = container->stopped, .restarts = container->restart.count};

	close_log(sup, container);
	clock_gettime(CLOCK_REALTIME, &end.finished);
	container->oom = container->grouped && fb_cgroup_oom_killed(&container->cgroup) == 1;
	end.oom = container->oom;
	fb_health_stop(sup, container);
	/* Who is told of the end may take the same ports and addresses at once. */
	fb_network_down(sup, container);
	if (fb_restart_begin(sup, container, &end))
		return;
	fb_network_forget(container);
	/* Nobody is left to ask for what a session that ends has run. */
	container->remove |= container->tied && sup->closing;
	container->trashed = container_record(sup, container, &end);
}

static void tell(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_conversation *next;

	for (struct fb_conversation *c = sup->conversations; c; c = next) {
		next = c->next;
		if (c->subject != task)
			continue;
		c->subject = NULL;
		if (c->input)
			fb_input_drop(sup, c->input);
		fb_request_send_exit(sup, c, task);
	}
}

static void task_finish(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_container *container = task->container;

	task->finished = true;
	fb_source_close(sup, &task->timer);
	if (task->stdin_to >= 0)
		close(task->stdin_to);
	task->stdin_to = -1;
	if (task->exec == 0)
		container_end(sup, container);
	tell(sup, task);
	if (task->exec) {
		struct fb_task **at = &container->execs;

		fb_health_told(sup, task);
		fb_exec_group_end(sup, task);
		while (*at != task)
			at = &(*at)->next;
		*at = task->next;
		free(task);
	}
	/* A cgroup with an exec's process in it can't be removed: the last of them releases. */
	if (!container->task.finished || container->execs)
		return;
	if (container->restarting)
		fb_restart_wait(sup, container);
	else
		container_free(sup, container, container->trashed);
}

void fb_container_stay_ended(struct fb_supervisor *sup, struct fb_container *container)
{
	container->restarting = false;
	container->last.stopped = container->stopped;
	fb_network_forget(container);
	container->trashed = container_record(sup, container, &container->last);
	tell(sup, &container->task);
	container_free(sup, container, container->trashed);
}

static bool is_over(const struct fb_task *task)
{
	return task->reaped && task->dying.fd < 0 && task->output[0].from.fd < 0 && task->output[1].from.fd < 0;
}

void fb_task_output_ended(struct fb_supervisor *sup, struct fb_task *task)
{
	if (is_over(task))
		task_finish(sup, task);
}

static void task_timer_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_task *task = FB_CONTAINER_OF(source, struct fb_task, timer);
	uint64_t ticks;

	(void)events;
	if (read(source->fd, &ticks, sizeof(ticks)) != (ssize_t)sizeof(ticks))
		return;
	if (task->reaped) {
		fb_output_end(sup, &task->output[0]);
		fb_output_end(sup, &task->output[1]);
		task_finish(sup, task);
	} else if (task->exec) {
		task->timed_out = true;
		fb_exec_kill(task);
	} else {
		fb_task_kill_all(task->container);
	}
}

static void task_reaped(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_task *task = FB_CONTAINER_OF(source, struct fb_task, pidfd);
	struct rusage usage = {0};
	siginfo_t info = {0};

	(void)events;
	/* The call itself also says what was used, which glibc's wrapper leaves out. */
	if (syscall(SYS_waitid, P_PIDFD, source->fd, &info, WEXITED | WNOHANG | __WALL, &usage) == 0 && info.si_pid == 0)
		return;
	task->signal = info.si_code == CLD_EXITED ? 0 : info.si_pid ? info.si_status : SIGKILL;
	task->code = task->signal ? 128 + task->signal : info.si_status;
	task->reaped = true;
	fb_source_close(sup, source);
	if (task->exec)
		fb_exec_account(task, &usage);
	if (task->exec == 0 && !task->container->own_pids)
		fb_task_kill_all(task->container);
	if (task->exec)
		fb_exec_await_empty(sup, task);
	if (!is_over(task)) {
		fb_output_drain(sup, &task->output[0]);
		fb_output_drain(sup, &task->output[1]);
		(void)fb_source_timer(sup, &task->timer, DRAIN_SECONDS);
	}
	fb_task_output_ended(sup, task);
}

void fb_task_init(struct fb_task *task, struct fb_container *container, unsigned exec)
{
	task->container = container;
	task->exec = exec;
	task->stdin_to = -1;
	task->group.fd = task->group.events = task->group.stat = -1;
	task->dying.fd = -1;
	task->pidfd = (struct fb_source){.fd = -1, .ready = task_reaped};
	task->timer = (struct fb_source){.fd = -1, .ready = task_timer_ready};
	for (int i = 0; i < 2; i++)
		task->output[i] = (struct fb_output){.from.fd = -1, .stream = i + 1, .task = task};
}

int fb_task_attach(struct fb_supervisor *sup, struct fb_task *task, struct fb_request *request,
		   struct fb_conversation *conversation, struct fb_error *err)
{
	int r = 0;

	if (request->streams[0] >= 0 && task->stdin_to < 0)
		return FAIL(EINVAL, task->container->id, "its stdin is not open");
	if (conversation->taps[0] || conversation->taps[1] || conversation->input)
		return FAIL(EBUSY, task->container->id, "the conversation still has streams");
	if (request->streams[0] >= 0)
		r = fb_input_add(sup, conversation, request->streams[0], task->stdin_to);
	request->streams[0] = -1;
	for (int i = 0; i < 2 && r == 0; i++) {
		if (request->streams[i + 1] >= 0)
			r = fb_tap_add(sup, conversation, &task->output[i], request->streams[i + 1]);
		request->streams[i + 1] = -1;
	}
	return r < 0 ? FAIL(-r, task->container->id, "cannot attach") : 0;
}

static void error_line(const struct fb_error *error, char *line, size_t size)
{
	const char *why = strerrordesc_np(error->code);

	snprintf(line, size, "cannot start: %s: %s %s: %s%s%s", fb_stage_name(error->stage), error->call, error->path,
		 why ? why : "error", error->detail[0] ? ": " : "", error->detail);
}

void fb_container_failed(struct fb_supervisor *sup, struct fb_container *container, int code,
			 const struct fb_error *error)
{
	struct fb_exit end = {.code = code, .restarts = container->restart.count, .stopped = container->stopped};
	char line[512];
	bool trash = false;

	fb_output_end(sup, &container->task.output[0]);
	fb_output_end(sup, &container->task.output[1]);
	if (container->task.stdin_to >= 0)
		close(container->task.stdin_to);
	fb_network_down(sup, container);
	fb_network_abandon(container);
	fb_network_forget(container);
	error_line(error, line, sizeof(line));
	end.error = line;
	clock_gettime(CLOCK_REALTIME, &end.finished);
	end.started = container->started.tv_sec ? container->started : end.finished;
	if (container->directory)
		trash = container_record(sup, container, &end);
	container->task.code = code;
	tell(sup, &container->task);
	container_free(sup, container, trash);
}
