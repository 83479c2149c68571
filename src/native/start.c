#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "borrow.h"
#include "cleanup.h"
#include "exec_group.h"
#include "exec_spec.h"
#include "health.h"
#include "network_live.h"
#include "record.h"
#include "request.h"
#include "restart.h"
#include "start.h"
#include "streams.h"
#include "task.h"

#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", (path), (detail))

struct stdio {
	int child[3]; /* what the new process gets; closed here once it has them */
	int ours[3];  /* the other ends of those that are pipes of ours */
};

static void close_stdio(struct stdio *stdio)
{
	for (int i = 0; i < 3; i++) {
		fb_cleanup_fd(&stdio->child[i]);
		fb_cleanup_fd(&stdio->ours[i]);
	}
}

static int make_pipe(int *read_end, int *write_end, struct fb_error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return FB_FAIL(err, FB_STAGE_STDIO, "pipe2", NULL);
	*read_end = ends[0];
	*write_end = ends[1];
	return 0;
}

/* Output always goes through pipes of ours: a client may attach later, and its own descriptors are never in a container. */
static int prepare_stdio(const struct fb_spec *spec, struct fb_request *request, struct stdio *stdio,
			 struct fb_error *err)
{
	enum fb_stdin_mode mode = spec->engine.stdin_mode;
	int r = 0;

	if (spec->process.terminal)
		return 0;
	if (request->streams[0] >= 0 && mode == FB_STDIN_NONE)
		return FAIL(EINVAL, request->id, "its stdin is not open");
	if (mode == FB_STDIN_ONCE) {
		stdio->child[0] = request->streams[0];
		request->streams[0] = -1;
	} else if (mode == FB_STDIN_OPEN) {
		r = make_pipe(&stdio->child[0], &stdio->ours[0], err);
	}
	for (int i = 1; i < 3 && r == 0; i++)
		r = make_pipe(&stdio->ours[i], &stdio->child[i], err);
	return r;
}

/* The limit was raised for this process alone: who states none gets what there was before. */
static int keep_file_limit(const struct fb_supervisor *sup, struct fb_arena *arena, struct fb_process_spec *process,
			   struct fb_error *err)
{
	struct fb_rlimit *limits;

	for (size_t i = 0; i < process->rlimit_count; i++)
		if (process->rlimits[i].resource == RLIMIT_NOFILE)
			return 0;
	limits = fb_arena_alloc(arena, (process->rlimit_count + 1) * sizeof(*limits));
	if (!limits)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, ENOMEM, "malloc", NULL, NULL);
	if (process->rlimit_count)
		memcpy(limits, process->rlimits, process->rlimit_count * sizeof(*limits));
	limits[process->rlimit_count++] =
		(struct fb_rlimit){RLIMIT_NOFILE, sup->files.rlim_cur, sup->files.rlim_max};
	process->rlimits = limits;
	return 0;
}

static void set_size(struct fb_process_spec *process, const struct fb_request *request)
{
	if (request->rows)
		process->rows = (unsigned short)request->rows;
	if (request->columns)
		process->columns = (unsigned short)request->columns;
}

/* A process whose end, or whose output, nobody would notice is not left to run. */
static int disown(struct fb_supervisor *sup, struct fb_task *task, int code, struct fb_error *err)
{
	siginfo_t info;

	(void)kill(task->pid, SIGKILL);
	while (waitid(P_PID, (id_t)task->pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	fb_source_close(sup, &task->pidfd);
	fb_output_end(sup, &task->output[0]);
	fb_output_end(sup, &task->output[1]);
	fb_cleanup_fd(&task->stdin_to);
	return FB_FAIL_CODE(err, FB_STAGE_STDIO, -code, "epoll_ctl", task->container->id, NULL);
}

/* Take over what fb_launch made: all of it is the task's from here on, and goes to whom `request` says. */
static int adopt(struct fb_supervisor *sup, struct fb_task *task, const struct fb_launched *launched,
		 struct stdio *stdio, struct fb_request *request, struct fb_conversation *conversation, struct fb_error *err)
{
	int r = 0;

	task->pid = launched->pid;
	task->pidfd.fd = launched->pidfd;
	task->terminal = launched->console >= 0;
	if (task->terminal) {
		task->stdin_to = fcntl(launched->console, F_DUPFD_CLOEXEC, 6);
		r = task->stdin_to < 0 ? -errno : 0;
		stdio->ours[1] = launched->console;
	} else {
		task->stdin_to = fb_steal_fd(&stdio->ours[0]);
	}
	for (int i = 0; i < 2 && r == 0; i++)
		if (stdio->ours[i + 1] >= 0)
			r = fb_output_start(sup, &task->output[i], fb_steal_fd(&stdio->ours[i + 1]));
	if (r == 0)
		r = fb_source_watch(sup, &task->pidfd, EPOLLIN);
	if (r == 0 && conversation)
		r = fb_task_attach(sup, task, request, conversation, NULL);
	close_stdio(stdio);
	return r < 0 ? disown(sup, task, r, err) : 0;
}

static bool has_own_pids(const struct fb_spec *spec)
{
	for (size_t i = 0; i < spec->namespace_count; i++)
		if (spec->namespaces[i].type == CLONE_NEWPID && !spec->namespaces[i].path)
			return true;
	return false;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* A writable layer that is not in the container's directory is in one of its own name; NULL: nothing to remove. */
static char *scratch_of(const struct fb_engine_spec *engine)
{
	const char *slash = engine->upper ? strrchr(engine->upper, '/') : NULL;
	char *parent = slash ? strndup(engine->upper, (size_t)(slash - engine->upper)) : NULL;
	const char *name = parent ? strrchr(parent, '/') : NULL;

	if (name && engine->id && strncmp(name + 1, "fastbox-", 8) == 0 && strcmp(name + 9, engine->id) == 0)
		return parent;
	free(parent);
	return NULL;
}

/* Everything the container holds outside itself, before its process exists. */
static int prepare(struct fb_supervisor *sup, struct fb_container *container, struct fb_spec *spec,
		   struct fb_request *request, struct stdio *stdio, struct fb_error *err)
{
	const struct fb_engine_spec *engine = &spec->engine;
	int r;

	if (!engine->directory || (engine->id && strcmp(engine->id, container->id) != 0))
		return FAIL(EINVAL, container->bundle, "the bundle is not this container's");
	/* They may take any time, in which this process would serve nobody; its bundles have none. */
	for (int kind = 0; kind < FB_HOOK_KINDS; kind++)
		if (spec->hooks[kind].count)
			return FAIL(EOPNOTSUPP, container->bundle, "hooks are run by the OCI command only");
	free(container->directory);
	free(container->name);
	free(container->scratch);
	container->directory = strdup(engine->directory);
	container->name = copy(engine->name);
	container->scratch = scratch_of(engine);
	container->remove = engine->remove;
	container->own_pids = has_own_pids(spec);
	if (!container->directory)
		return FAIL(ENOMEM, container->bundle, NULL);
	r = prepare_stdio(spec, request, stdio, err);
	if (r == 0)
		r = keep_file_limit(sup, &spec->arena, &spec->process, err);
	request->clocks[0].at[FB_STAGE_STDIO] = fb_now();
	if (r == 0)
		r = fb_network_reserve(container, spec, err);
	if (r == 0)
		r = fb_log_open(&container->log, &engine->log, sup->log_buffer, err);
	if (r == 0 && spec->cgroups_path) {
		r = fb_cgroup_create(spec->cgroups_path, &spec->resources, 0, &container->cgroup, err);
		container->grouped = r == 0;
		request->clocks[0].at[FB_STAGE_CGROUP] = fb_now();
	}
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &container->started);
	container->began = fb_now();
	r = fb_live_write(sup, container, 0, err);
	container->live = r == 0;
	request->clocks[0].at[FB_STAGE_RECORD] = fb_now();
	return r;
}

static int start(struct fb_supervisor *sup, struct fb_container *container, struct fb_spec *spec,
		 struct fb_request *request, struct fb_conversation *conversation, int *ret_exit, struct fb_error *err)
{
	struct stdio stdio = {{-1, -1, -1}, {-1, -1, -1}};
	struct fb_launch_request what = {.spec = spec, .target_pidfd = -1};
	struct fb_network_start network;
	struct fb_launched launched;
	int r;

	set_size(&spec->process, request);
	r = prepare(sup, container, spec, request, &stdio, err);
	if (r == 0 && container->network) {
		r = fb_network_begin(sup, container, spec, &network, err);
		what.network = &network.launch;
		request->clocks[0].at[FB_STAGE_NETWORK] = fb_now();
	}
	if (r == 0) {
		memcpy(what.stdio, stdio.child, sizeof(what.stdio));
		what.cgroup = container->grouped ? &container->cgroup : NULL;
		r = fb_launch(&what, &launched, err);
		if (what.network)
			fb_network_launched(&network);
		if (r < 0)
			*ret_exit = fb_launch_exit_code(err);
	}
	if (r < 0) {
		close_stdio(&stdio);
		return r;
	}
	r = adopt(sup, &container->task, &launched, &stdio, request, conversation, err);
	if (r < 0)
		return r;
	/* A live state with pid 0 is there already: when this write fails, the cgroups it names still find the process. */
	container->restarting = container->again = container->stopped = false;
	(void)fb_live_write(sup, container, launched.pid, NULL);
	fb_health_start(sup, container, &spec->engine.health);
	request->clocks[1] = launched.clocks;
	request->clocks[2].begin = launched.clocks.at[FB_STAGE_EXEC];
	request->clocks[2].at[FB_STAGE_RECORD] = fb_now();
	return 0;
}

/* Until a spec says where the directory is, the bundle is taken for it when it is named like the container. */
static struct fb_container *new_container(struct fb_supervisor *sup, const struct fb_request *request)
{
	struct fb_container *container = calloc(1, sizeof(*container));
	const char *slash = strrchr(request->bundle, '/');

	if (!container)
		return NULL;
	snprintf(container->id, sizeof(container->id), "%s", request->id);
	container->log.fd = -1;
	container->log_ready = (struct fb_source){.fd = -1, .ready = fb_log_ready};
	container->tied = request->tied;
	container->bundle = strdup(request->bundle);
	if (strcmp(slash + 1, request->id) == 0)
		container->directory = strdup(request->bundle);
	fb_task_init(&container->task, container, 0);
	container->restart_timer = (struct fb_source){.fd = -1, .ready = fb_restart_ready};
	container->next = sup->containers;
	sup->containers = container;
	return container;
}

/* The live state is the last thing that goes: while it is there, the last life of this container is not over. */
static int check_gone(struct fb_supervisor *sup, const char *id, struct fb_error *err)
{
	char path[PATH_MAX];

	if (fb_container_find(sup, id))
		return FAIL(EEXIST, id, "it is running");
	snprintf(path, sizeof(path), "%s/containers/%s", sup->run, id);
	if (access(path, F_OK) < 0)
		return 0;
	fb_release_answers(&sup->releaser, true);
	return access(path, F_OK) < 0 ? 0 : FAIL(EBUSY, path, "the live state of another run is there");
}

/* Parse the bundle and start what it says. */
static int launch(struct fb_supervisor *sup, struct fb_container *container, struct fb_request *request,
		  struct fb_conversation *conversation, int *ret_exit, struct fb_error *err)
{
	struct fb_spec spec = {0};
	int r = fb_spec_load(container->bundle, &spec, err);

	request->clocks[0].at[FB_STAGE_SPEC] = fb_now();
	if (r < 0)
		return r;
	container->stop_signal = spec.engine.stop_signal;
	/* Of one that starts again, the policy may have been changed, and the counts go on. */
	if (conversation)
		container->restart = spec.engine.restart;
	else if (spec.engine.overlay_volatile)
		fb_restart_forget_volatile(spec.engine.work);
	r = start(sup, container, &spec, request, conversation, ret_exit, err);
	fb_spec_free(&spec);
	return r;
}

int fb_task_launch(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   struct fb_task **ret_task, int *ret_exit, struct fb_error *err)
{
	struct fb_container *container;
	int r = check_gone(sup, request->id, err);

	sup->launched = true;
	if (r < 0)
		return r;
	container = new_container(sup, request);
	if (!container)
		return FAIL(ENOMEM, request->id, NULL);
	r = launch(sup, container, request, conversation, ret_exit, err);
	if (r < 0) {
		fb_container_failed(sup, container, *ret_exit, err);
		return r;
	}
	*ret_task = &container->task;
	return 0;
}

void fb_task_relaunch(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_request request = {.id = container->id, .bundle = container->bundle, .streams = {-1, -1, -1},
				     .document = -1};
	struct fb_error err = {0};
	int exit_code = 125;

	container->task = (struct fb_task){0};
	fb_task_init(&container->task, container, 0);
	if (launch(sup, container, &request, NULL, &exit_code, &err) < 0) {
		fb_request_send_start(sup, container, exit_code, &err);
		container->restarting = false;
		fb_container_failed(sup, container, exit_code, &err);
		return;
	}
	fb_request_send_start(sup, container, 0, NULL);
	if (!sup->tied)
		malloc_trim(0);
}

/* The document is read from its beginning, wherever the client's writing left the offset. */
static int read_document(int fd, struct fb_arena *arena, const char **ret_text, size_t *ret_length,
			 struct fb_error *err)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text;

	if (size < 0 || (size_t)size > FB_SPEC_MAX_BYTES)
		return FAIL(size < 0 ? EINVAL : EFBIG, "exec", "the process document");
	text = fb_arena_alloc(arena, (size_t)size + 1);
	if (!text)
		return FAIL(ENOMEM, "exec", NULL);
	for (off_t got = 0; got < size;) {
		ssize_t n = pread(fd, text + got, (size_t)(size - got), got);

		if (n <= 0)
			return FAIL(EIO, "exec", "the process document");
		got += n;
	}
	*ret_text = text;
	*ret_length = (size_t)size;
	return 0;
}

/* Its first process may be dying just now: the kernel then says ENOMEM to a clone, or kills the new process. It can't be waited for, since it waits
 * for the others of its pid namespace, which are ours to reap: its flags tell (field 9, PF_EXITING). */
static bool is_dying(const struct fb_container *container)
{
	char path[32], text[1024];
	fb_auto_close int fd = -1;
	unsigned flags = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)container->task.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	if (n > 0 && strrchr(text, ')'))
		(void)sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
	return flags & 4;
}

static const struct fb_home *home_of(struct fb_supervisor *sup)
{
	struct fb_error ignored;

	sup->at_home = sup->at_home || fb_home_open(&sup->home, &ignored) == 0;
	return sup->at_home ? &sup->home : NULL;
}

static int start_exec(struct fb_supervisor *sup, struct fb_task *task, const struct fb_exec_spec *of,
		      struct fb_arena *arena, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit, struct fb_error *err)
{
	struct fb_container *container = task->container;
	struct fb_process_spec process = {0};
	struct fb_launch_request what = {.spec = &of->spec, .process = &process, .filter = &of->filter, .home = home_of(sup),
					 .target_pidfd = container->task.pidfd.fd};
	struct fb_cgroup joined;
	struct stdio stdio = {{-1, -1, -1}, {-1, -1, -1}};
	struct fb_launched launched;
	const char *text = request->text;
	size_t length = request->text_length;
	int r = text ? 0 : read_document(request->document, arena, &text, &length, err);

	if (r == 0)
		r = fb_spec_parse_exec(text, length, arena, &process, &what.privileged, err);
	if (r == 0)
		r = keep_file_limit(sup, arena, &process, err);
	if (r < 0)
		return r;
	set_size(&process, request);
	/* Without a terminal the client's pipes are the process's own: made for it, and nothing of the client's is behind them. */
	if (!process.terminal)
		for (int i = 0; i < 3; i++)
			stdio.child[i] = fb_steal_fd(&request->streams[i]);
	memcpy(what.stdio, stdio.child, sizeof(what.stdio));
	request->clocks[0].at[FB_STAGE_SPEC] = fb_now();
	what.cgroup = fb_exec_group_make(sup, task, &joined);
	request->clocks[0].at[FB_STAGE_CGROUP] = fb_now();
	if (task->limited && fb_source_timer(sup, &task->timer, request->timeout) < 0)
		r = FB_FAIL(err, FB_STAGE_REQUEST, "timerfd_create", container->id);
	if (r == 0)
		r = fb_launch(&what, &launched, err);
	fb_exec_group_made(task);
	if (r < 0) {
		*ret_exit = fb_launch_exit_code(err);
		close_stdio(&stdio);
		if (is_dying(container)) {
			*ret_exit = 125;
			return FAIL(ENOENT, container->id, "it has ended");
		}
		return r;
	}
	request->clocks[1] = launched.clocks;
	return adopt(sup, task, &launched, &stdio, request, conversation, err);
}

int fb_task_exec(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		 struct fb_task **ret_task, int *ret_exit, struct fb_error *err)
{
	struct fb_container *container = fb_container_find(sup, request->id);
	const struct fb_exec_spec *spec;
	struct fb_arena arena = {0};
	struct fb_exec_spec room = {0};
	struct fb_task *task;
	int r;

	if (!container || container->task.reaped)
		return FAIL(ENOENT, request->id, "no such container here, or it has ended");
	/* It would stand still, too, before it could be started, and we with it. */
	if (container->freezer || container->paused)
		return FAIL(EBUSY, request->id, container->paused ? "it is paused: unpause it first"
								  : "its processes are stopped while its files are read");
	if (request->detach && (request->stream_count || request->tied || request->quiet))
		return FAIL(EINVAL, request->id, request->tied ? "detached, but tied" :
					       request->quiet ? "detached, but quiet" : "detached, but with streams");
	task = calloc(1, sizeof(*task));
	if (!task)
		return FAIL(ENOMEM, request->id, NULL);
	fb_task_init(task, container, ++sup->execs);
	task->tied = request->tied;
	task->limited = request->timeout > 0;
	r = fb_exec_spec_get(sup, container, &room, &spec, err);
	if (r == 0)
		r = start_exec(sup, task, spec, &arena, request, conversation, ret_exit, err);
	fb_arena_free(&arena);
	fb_spec_free(&room.spec);
	if (r < 0) {
		fb_source_close(sup, &task->timer);
		fb_exec_group_end(sup, task);
		free(task);
		return r;
	}
	task->next = container->execs;
	container->execs = task;
	*ret_task = task;
	return 0;
}
