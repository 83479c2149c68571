/* exec, and what it shares with create about descriptors and pid files. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "creds.h"
#include "io.h"
#include "oci_run.h"

struct options {
	const char *process, *cwd, *user, *console_socket, *pid_file, *pidfd_socket, *label, *apparmor, *preserve_fds;
	struct fb_strv env, groups, caps, cgroups;
	bool tty, detach, no_new_privs, no_new_privs_given, ignore_paused, no_subreaper;
	char **words;
	size_t word_count;
};

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, code, "oci", path, detail);
}

int fb_oci_write_pid(const char *path, pid_t pid, struct fb_error *err)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", pid), r = fb_write_file(AT_FDCWD, path, text, (size_t)length, false);

	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", path, NULL) : 0;
}

/* Socket activation: what a service manager hands over (sd_listen_fds(3)) comes first. */
static int add_listen(struct fb_spec *spec, struct fb_process_spec *process, int64_t count, struct fb_error *err)
{
	char **items = fb_arena_alloc(&spec->arena, (process->env.count + 3) * sizeof(*items));

	if (!items)
		return fail(err, ENOMEM, NULL, NULL);
	if (process->env.count)
		memcpy(items, process->env.items, process->env.count * sizeof(*items));
	items[process->env.count] = fb_arena_printf(&spec->arena, "LISTEN_FDS=%" PRId64, count);
	items[process->env.count + 1] = fb_arena_strdup(&spec->arena, "LISTEN_PID=1");
	if (!items[process->env.count] || !items[process->env.count + 1])
		return fail(err, ENOMEM, NULL, NULL);
	process->env = (struct fb_strv){items, process->env.count + 2};
	return 0;
}

int fb_oci_preserved(const char *option, struct fb_spec *spec, struct fb_process_spec *process, unsigned *ret_count,
		     struct fb_error *err)
{
	const char *listen = getenv("LISTEN_FDS");
	int64_t count = 0, listening = 0;
	int r = 0;

	if (option && (r = fb_oci_number("preserve-fds", option, 0, 1 << 16, &count, err)) < 0)
		return r;
	if (listen && fb_oci_number("LISTEN_FDS", listen, 0, 1 << 16, &listening, NULL) == 0 && listening > 0)
		r = add_listen(spec, process, listening, err);
	/* A hole would be filled by a descriptor of ours, and that would be the container's. */
	for (int64_t fd = 3; r == 0 && fd < 3 + count + listening; fd++)
		if (fcntl((int)fd, F_GETFD) < 0)
			r = fail(err, EBADF, "preserve-fds", "not all of these descriptors are open");
	if (r == 0)
		*ret_count = (unsigned)(count + listening);
	return r;
}

int fb_oci_use_cache(const struct fb_oci *oci, struct fb_spec *spec, struct fb_error *err)
{
	if (spec->engine.seccomp_cache || !spec->seccomp)
		return 0;
	spec->engine.seccomp_cache = fb_arena_printf(&spec->arena, "%s/" FB_OCI_CACHE, oci->root);
	return spec->engine.seccomp_cache ? 0 : fail(err, ENOMEM, NULL, NULL);
}

/* --- the words --- */

static int read_options(int argc, char **argv, struct options *options, struct fb_error *err)
{
	const struct fb_oci_option table[] = {
		{"process", 'p', FB_OCI_TEXT, &options->process},
		{"cwd", 0, FB_OCI_TEXT, &options->cwd},
		{"env", 'e', FB_OCI_LIST, &options->env},
		{"tty", 't', FB_OCI_FLAG, &options->tty},
		{"user", 'u', FB_OCI_TEXT, &options->user},
		{"additional-gids", 'g', FB_OCI_LIST, &options->groups},
		{"detach", 'd', FB_OCI_FLAG, &options->detach},
		{"console-socket", 0, FB_OCI_TEXT, &options->console_socket},
		{"pidfd-socket", 0, FB_OCI_TEXT, &options->pidfd_socket},
		{"pid-file", 0, FB_OCI_TEXT, &options->pid_file},
		{"process-label", 0, FB_OCI_TEXT, &options->label},
		{"apparmor", 0, FB_OCI_TEXT, &options->apparmor},
		{"no-new-privs", 0, FB_OCI_FLAG, &options->no_new_privs},
		{"cap", 'c', FB_OCI_LIST, &options->caps},
		{"preserve-fds", 0, FB_OCI_TEXT, &options->preserve_fds},
		{"cgroup", 0, FB_OCI_LIST, &options->cgroups},
		{"ignore-paused", 0, FB_OCI_FLAG, &options->ignore_paused},
		{"no-subreaper", 0, FB_OCI_FLAG, &options->no_subreaper},
		{0},
	};
	int words = 0, r = fb_oci_options(table, argc, argv, &words, err);

	if (r < 0)
		return r;
	if (argc - words < (options->process ? 1 : 2))
		return fail(err, EINVAL, "exec", "takes a container id and a command, or --process");
	options->words = argv + words;
	options->word_count = (size_t)(argc - words);
	return 0;
}

/* --- the process --- */

static int load_process(const struct fb_oci *oci, const struct options *options, struct fb_spec *spec,
			struct fb_process_spec *process, struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	/* conmon and containerd hand over a plain file; a fifo would be waited for. */
	ssize_t length = fb_read_file(AT_FDCWD, options->process, FB_SPEC_MAX_BYTES, &text);
	int r;

	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, (int)-length, "open", options->process,
				    length == -EINVAL ? "is not a regular file" : NULL);
	r = fb_spec_parse_process(text, (size_t)length, &spec->arena, process, err);
	fb_oci_warn_of(oci, process);
	return r;
}

/* A later value takes the place of an earlier one. */
static int add_env(struct fb_spec *spec, struct fb_process_spec *process, const struct fb_strv *more, struct fb_error *err)
{
	char **items = fb_arena_alloc(&spec->arena, (process->env.count + more->count + 1) * sizeof(*items));
	size_t count = process->env.count;

	if (!items)
		return fail(err, ENOMEM, NULL, NULL);
	if (count)
		memcpy(items, process->env.items, count * sizeof(*items));
	for (size_t i = 0; i < more->count; i++) {
		size_t name = strcspn(more->items[i], "="), at = 0;

		if (!name || more->items[i][name] != '=')
			return fail(err, EINVAL, more->items[i], "an environment entry is NAME=value");
		while (at < count && strncmp(items[at], more->items[i], name + 1) != 0)
			at++;
		items[at] = more->items[i];
		count += at == count;
	}
	process->env = (struct fb_strv){items, count};
	return 0;
}

static int set_user(const char *text, struct fb_process_spec *process, struct fb_error *err)
{
	char uid[16];
	size_t length = strcspn(text, ":");
	int64_t number;

	if (length >= sizeof(uid))
		return fail(err, EINVAL, text, "a user is UID[:GID]");
	memcpy(uid, text, length);
	uid[length] = '\0';
	if (fb_oci_number("user", uid, 0, UINT32_MAX - 1, &number, err) < 0)
		return -EINVAL;
	process->uid = (uid_t)number;
	if (text[length] == ':') {
		if (fb_oci_number("user", text + length + 1, 0, UINT32_MAX - 1, &number, err) < 0)
			return -EINVAL;
		process->gid = (gid_t)number;
	}
	return 0;
}

static int add_groups(struct fb_spec *spec, struct fb_process_spec *process, const struct fb_strv *groups,
		      struct fb_error *err)
{
	gid_t *all = fb_arena_alloc(&spec->arena, (process->group_count + groups->count + 1) * sizeof(*all));
	int64_t number;

	if (!all)
		return fail(err, ENOMEM, NULL, NULL);
	if (process->group_count)
		memcpy(all, process->groups, process->group_count * sizeof(*all));
	for (size_t i = 0; i < groups->count; i++) {
		if (fb_oci_number("additional-gids", groups->items[i], 0, UINT32_MAX - 1, &number, err) < 0)
			return -EINVAL;
		all[process->group_count++] = (gid_t)number;
	}
	process->groups = all;
	return 0;
}

static int add_caps(struct fb_process_spec *process, const struct fb_strv *names, struct fb_error *err)
{
	for (size_t i = 0; i < names->count; i++) {
		int number = fb_capability_number(names->items[i]);
		uint64_t bit = 1ull << (number < 0 ? 0 : number);

		if (number < 0)
			return fail(err, EINVAL, names->items[i], "unknown capability");
		process->has_capabilities = true;
		process->capabilities.bounding |= bit;
		process->capabilities.effective |= bit;
		/* Not inheritable, and so not ambient: no file of the image may hand it on (CVE-2022-29162). */
		process->capabilities.permitted |= bit;
	}
	return 0;
}

/* The container's own process with what the words change. */
static int change_process(const struct options *options, struct fb_spec *spec, struct fb_process_spec *process,
			  struct fb_error *err)
{
	int r;

	*process = spec->process;
	process->args = (struct fb_strv){options->words + 1, options->word_count - 1};
	process->terminal = options->tty;
	process->no_new_privileges |= options->no_new_privs;
	if (options->cwd)
		process->cwd = options->cwd;
	if (process->cwd[0] != '/')
		return fail(err, EINVAL, process->cwd, "the working directory must be an absolute path");
	if (options->apparmor)
		process->apparmor = options->apparmor;
	if (options->label)
		process->selinux = options->label;
	if (options->user && (r = set_user(options->user, process, err)) < 0)
		return r;
	if ((r = add_groups(spec, process, &options->groups, err)) < 0 || (r = add_caps(process, &options->caps, err)) < 0)
		return r;
	return add_env(spec, process, &options->env, err);
}

/* "[controller[,controller]:]path" below the container's own groups. */
static int enter_below(struct fb_cgroup *group, const struct fb_strv *words, struct fb_error *err)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *colon = strchr(words->items[i], ':'), *path = colon ? colon + 1 : words->items[i];

		if (strstr(path, ".."))
			return fail(err, EINVAL, path, "\"..\" is not allowed in a group below the container's");
		for (int at = 0; at < group->path_count; at++) {
			size_t length = strlen(group->paths[at]);

			if (colon && (!group->controllers[at] ||
				      !memmem(words->items[i], (size_t)(colon - words->items[i]), group->controllers[at],
					      strlen(group->controllers[at]))))
				continue;
			if ((size_t)snprintf(group->paths[at] + length, sizeof(group->paths[at]) - length, "/%s",
					     path + strspn(path, "/")) >= sizeof(group->paths[at]) - length)
				return fail(err, ENAMETOOLONG, path, NULL);
		}
	}
	return 0;
}

static int check_status(const struct fb_oci_state *state, bool ignore_paused, struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);

	if (status == FB_OCI_STOPPED || status == FB_OCI_CREATING)
		return fail(err, ESRCH, state->id, "cannot exec in a stopped container");
	if (status == FB_OCI_PAUSED && !ignore_paused)
		return fail(err, EBUSY, state->id, "cannot exec in a paused container (use --ignore-paused to override)");
	return 0;
}

static int finish(const struct options *options, struct fb_launched *launched, struct fb_error *err)
{
	int r = 0;

	if (options->console_socket)
		r = fb_oci_send_descriptor(options->console_socket, launched->console, err);
	if (r == 0 && options->pidfd_socket)
		r = fb_oci_send_descriptor(options->pidfd_socket, launched->pidfd, err);
	if (r == 0 && options->pid_file)
		r = fb_oci_write_pid(options->pid_file, launched->pid, err);
	if (r < 0)
		kill(launched->pid, SIGKILL);
	return r;
}

static int exec(const struct fb_oci *oci, const struct options *options, struct fb_oci_state *state, struct fb_spec *spec,
		int *ret_code, struct fb_error *err)
{
	struct fb_process_spec process = {0};
	fb_auto_close int pidfd = -1;
	struct fb_launched launched = {.pidfd = -1, .console = -1};
	struct fb_launch_request what = {.spec = spec, .process = &process, .stdio = {0, 1, 2}, .id = state->id,
					 .bundle = state->bundle, .target_pid = state->pid};
	int r = options->process ? load_process(oci, options, spec, &process, err) : change_process(options, spec, &process, err);

	if (r == 0)
		r = fb_oci_check_console(&process, options->detach, options->console_socket, err);
	if (r == 0)
		r = fb_oci_preserved(options->preserve_fds, spec, &process, &what.preserve_fds, err);
	if (r == 0)
		r = enter_below(&state->cgroup, &options->cgroups, err);
	if (r == 0 && state->cgroup.path_count) {
		r = fb_cgroup_open(&state->cgroup, err);
		what.cgroup = &state->cgroup;
	}
	if (r == 0)
		r = what.target_pidfd = pidfd = fb_oci_state_pidfd(state, err);
	if (r >= 0)
		r = fb_launch(&what, &launched, err);
	fb_cgroup_close(&state->cgroup);
	if (r < 0)
		return r;
	fb_clocks_report(oci->timings, state->id, &launched.clocks);
	r = finish(options, &launched, err);
	if (r == 0 && !options->detach)
		*ret_code = fb_oci_wait(launched.pid, launched.pidfd, launched.console);
	fb_cleanup_fd(&launched.pidfd);
	fb_cleanup_fd(&launched.console);
	return r;
}

int fb_oci_exec(const struct fb_oci *oci, int argc, char **argv)
{
	struct options options = {0};
	struct fb_oci_state state = {.directory = -1};
	struct fb_spec spec = {0};
	struct fb_error err = {0};
	int code = 0, r = read_options(argc, argv, &options, &err);

	if (r < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	fb_oci_hold_signals();
	r = fb_oci_state_open(oci, options.words[0], false, &state, &err);
	if (r == 0)
		r = check_status(&state, options.ignore_paused, &err);
	if (r == 0)
		r = fb_oci_state_spec(&state, &spec, &err);
	if (r == 0)
		r = fb_oci_use_cache(oci, &spec, &err);
	if (r == 0)
		r = exec(oci, &options, &state, &spec, &code, &err);
	fb_oci_state_close(&state);
	fb_spec_free(&spec);
	/* As runc: no code that the command itself could have given. */
	return r < 0 ? fb_oci_fail(oci, 255, &err, "exec failed: unable to start container process") : code;
}
