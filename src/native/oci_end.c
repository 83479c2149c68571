/* kill, delete, and everything that a container's end takes. */
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "hook.h"
#include "io.h"
#include "oci_run.h"
#include "sys.h"

#define PATIENCE_MS 10000 /* for a killed process to be gone */

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, code, "oci", path, detail);
}

/* --- signals --- */

/* "9", "KILL", "SIGKILL", "RTMIN+3". */
static int parse_signal(const char *text, int *ret_signal, struct fb_error *err)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	int64_t number;

	if (isdigit((unsigned char)*text)) {
		if (fb_oci_number("signal", text, 0, SIGRTMAX, &number, err) < 0)
			return -EINVAL;
		*ret_signal = (int)number;
		return 0;
	}
	for (int signal = 1; signal <= SIGRTMAX; signal++) {
		const char *known = sigabbrev_np(signal);

		if (known && strcasecmp(known, name) == 0) {
			*ret_signal = signal;
			return 0;
		}
	}
	if (strncasecmp(name, "RTMIN", 5) == 0 || strncasecmp(name, "RTMAX", 5) == 0) {
		int base = strncasecmp(name, "RTMIN", 5) == 0 ? SIGRTMIN : SIGRTMAX;
		int offset = name[5] ? atoi(name + 5) : 0;

		if (base + offset >= SIGRTMIN && base + offset <= SIGRTMAX) {
			*ret_signal = base + offset;
			return 0;
		}
	}
	return fail(err, EINVAL, text, "unknown signal");
}

static int kill_groups(const struct fb_oci_state *state, struct fb_error *err)
{
	const char *paths[FB_CGROUP_MAX];

	for (int i = 0; i < state->cgroup.path_count; i++)
		paths[i] = state->cgroup.paths[i];
	return fb_cgroup_kill(paths, state->cgroup.path_count, err);
}

static int signal_all(const struct fb_oci_state *state, int signal, struct fb_error *err)
{
	fb_auto_free pid_t *pids = NULL;
	size_t count = 0;
	int r = fb_cgroup_processes(&state->cgroup, &pids, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (kill(pids[i], signal) < 0 && errno != ESRCH)
			r = FB_FAIL(err, FB_STAGE_REQUEST, "kill", state->id);
	return r;
}

static int send_signal(const struct fb_oci_state *state, int signal, bool all, struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);
	fb_auto_close int pidfd = -1;
	int r;

	/* Without a pid namespace of its own the others outlive the first. */
	if (all || (signal == SIGKILL && !state->own_pids)) {
		r = signal == SIGKILL ? kill_groups(state, err) : signal_all(state, signal, err);
		if (r < 0 || all)
			return r;
	}
	if (status == FB_OCI_STOPPED)
		return fail(err, ESRCH, state->id, "container not running");
	pidfd = fb_oci_state_pidfd(state, err);
	if (pidfd < 0)
		return pidfd;
	if (fb_pidfd_send_signal(pidfd, signal) < 0 && !(errno == ESRCH && !state->own_pids))
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, errno, "pidfd_send_signal", state->id,
				    errno == ESRCH ? "container not running" : NULL);
	/* A frozen one of v1 dies only when it runs. */
	if (signal == SIGKILL && status == FB_OCI_PAUSED)
		(void)fb_cgroup_freeze(&state->cgroup, false, NULL);
	return 0;
}

int fb_oci_kill(const struct fb_oci *oci, int argc, char **argv)
{
	bool all = false;
	const struct fb_oci_option table[] = {{"all", 'a', FB_OCI_FLAG, &all}, {.kind = FB_OCI_ANYWHERE}};
	struct fb_oci_state state = {.directory = -1};
	struct fb_error err = {0};
	int words = 0, number = SIGTERM, r = fb_oci_options(table, argc, argv, &words, &err);

	if (r == 0 && (argc - words < 1 || argc - words > 2))
		r = fail(&err, EINVAL, "kill", "takes a container id and, if you like, a signal");
	if (r == 0 && argc - words == 2)
		r = parse_signal(argv[words + 1], &number, &err);
	if (r == 0)
		r = fb_oci_state_open(oci, argv[words], false, &state, &err);
	if (r == 0)
		r = send_signal(&state, number, all, &err);
	fb_oci_state_close(&state);
	return r < 0 ? fb_oci_fail(oci, 1, &err, NULL) : 0;
}

/* --- the end --- */

int fb_oci_hooks(const struct fb_oci_state *state, const struct fb_spec *spec, enum fb_hook_kind kind, const char *status,
		 struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	fb_auto_close int file = -1;
	int r;

	if (!spec || !spec->hooks[kind].count)
		return 0;
	text = fb_hook_state(spec, state->id, state->bundle ? state->bundle : "", status,
			     kind == FB_HOOK_POSTSTOP ? 0 : state->pid);
	file = memfd_create("state", MFD_CLOEXEC);
	if (!text || file < 0)
		return FB_FAIL_CODE(err, FB_STAGE_HOOK, text ? errno : ENOMEM, "memfd_create", "state", NULL);
	r = fb_write_all(file, text, strlen(text));
	if (r < 0)
		return FB_FAIL_CODE(err, FB_STAGE_HOOK, -r, "write", "state", NULL);
	return fb_hook_run(&spec->hooks[kind], file, err);
}

static int end_process(const struct fb_oci_state *state, struct fb_error *err)
{
	fb_auto_close int pidfd = fb_oci_state_pidfd(state, NULL);
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	int r;

	if (pidfd >= 0)
		fb_pidfd_send_signal(pidfd, SIGKILL);
	if (fb_cgroup_frozen(&state->cgroup))
		(void)fb_cgroup_freeze(&state->cgroup, false, NULL);
	if (!state->own_pids && state->cgroup.path_count && (r = kill_groups(state, err)) < 0)
		return r;
	if (pidfd >= 0 && poll(&poll_fd, 1, PATIENCE_MS) == 0)
		return fail(err, EBUSY, state->id, "its process does not end");
	return 0;
}

int fb_oci_destroy(const struct fb_oci *oci, struct fb_oci_state *state, const struct fb_spec *spec, struct fb_error *err)
{
	/* A hook of the first that fails must not keep the rest of the container. */
	struct fb_error hook = {0};
	int r = end_process(state, err);

	if (r < 0)
		return r;
	for (size_t i = 0; spec && i < spec->hooks[FB_HOOK_POSTSTOP].count; i++) {
		struct fb_spec one = *spec;

		one.hooks[FB_HOOK_POSTSTOP] = (struct fb_hooks){&spec->hooks[FB_HOOK_POSTSTOP].items[i], 1};
		if (fb_oci_hooks(state, &one, FB_HOOK_POSTSTOP, "stopped", &hook) < 0)
			fb_oci_warn(oci, "poststop hook: %s: %s", hook.path, hook.detail);
	}
	return fb_oci_state_remove(state, err);
}

static int delete(const struct fb_oci *oci, struct fb_oci_state *state, bool force, struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);
	struct fb_spec spec = {0};
	char text[96];
	int r;

	if (!force && (status == FB_OCI_RUNNING || status == FB_OCI_PAUSED)) {
		snprintf(text, sizeof(text), "cannot delete a container that is not stopped: %s", fb_oci_status_name(status));
		return fail(err, EBUSY, state->id, text);
	}
	/* One whose configuration is damaged can still be removed: only its hooks are unknown then. */
	r = fb_oci_state_spec(state, &spec, err);
	r = fb_oci_destroy(oci, state, r < 0 ? NULL : &spec, err);
	fb_spec_free(&spec);
	return r;
}

int fb_oci_delete(const struct fb_oci *oci, int argc, char **argv)
{
	bool force = false;
	const struct fb_oci_option table[] = {{"force", 'f', FB_OCI_FLAG, &force}, {.kind = FB_OCI_ANYWHERE}};
	struct fb_oci_state state = {.directory = -1};
	struct fb_error err = {0};
	int words = 0, r = fb_oci_options(table, argc, argv, &words, &err);

	if (r == 0 && argc - words != 1)
		r = fail(&err, EINVAL, "delete", "takes exactly one container id");
	if (r == 0) {
		r = fb_oci_state_open(oci, argv[words], true, &state, &err);
		if (r == -ENOENT && force)
			return 0;
	}
	if (r == 0)
		r = delete(oci, &state, force, &err);
	fb_oci_state_close(&state);
	return r < 0 ? fb_oci_fail(oci, 1, &err, NULL) : 0;
}
