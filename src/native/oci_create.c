/* create, start, run: the launch code with a state directory around it. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "cleanup.h"
#include "io.h"
#include "oci_run.h"
#include "quote.h"
#include "record.h"

struct options {
	const char *bundle, *config, *console_socket, *pid_file, *pidfd_socket, *preserve_fds;
	bool no_pivot, no_new_keyring, no_subreaper, detach, keep;
	const char *id;
};

struct creation { /* what create and run make on their way */
	const struct fb_oci *oci;
	const struct options *options;
	struct fb_oci_state state;
	struct fb_spec spec;
	struct fb_cgroup cgroup;
	struct fb_oci_scope scope;
	int listener;
	uint64_t began, loaded, recorded; /* clocks: the bundle is read; the groups are there and the state is written */
	bool tried; /* a process was begun: the poststop hooks are due, whatever came of it */
};

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, code, "oci", path, detail);
}

/* --- the words --- */

static int read_options(int argc, char **argv, struct options *options, struct fb_error *err)
{
	bool run = strcmp(argv[0], "run") == 0;
	const struct fb_oci_option table[] = {
		{"bundle", 'b', FB_OCI_TEXT, &options->bundle},
		{"config", 'f', FB_OCI_TEXT, &options->config},
		{"console-socket", 0, FB_OCI_TEXT, &options->console_socket},
		{"pidfd-socket", 0, FB_OCI_TEXT, &options->pidfd_socket},
		{"pid-file", 0, FB_OCI_TEXT, &options->pid_file},
		{"preserve-fds", 0, FB_OCI_TEXT, &options->preserve_fds},
		{"no-pivot", 0, FB_OCI_FLAG, &options->no_pivot},
		{"no-new-keyring", 0, FB_OCI_FLAG, &options->no_new_keyring},
		{"detach", 'd', FB_OCI_FLAG, &options->detach},
		{"keep", 0, FB_OCI_FLAG, &options->keep},
		{"no-subreaper", 0, FB_OCI_FLAG, &options->no_subreaper},
		{.kind = FB_OCI_ANYWHERE},
	};
	int words = 0, r = fb_oci_options(table, argc, argv, &words, err);

	if (r < 0)
		return r;
	if (argc - words != 1)
		return fail(err, EINVAL, argv[0], "takes exactly one container id");
	options->id = argv[words];
	return run || !(options->detach || options->keep) ?
		       0 :
		       fail(err, EINVAL, options->detach ? "detach" : "keep", "is an option of run");
}

/* --- the bundle --- */

void fb_oci_warn_of(const struct fb_oci *oci, const struct fb_process_spec *process)
{
	if (process->unknown_capability)
		fb_oci_warn(oci, "no such capability here, left out: %s", process->unknown_capability);
}

/* A link may lead elsewhere by the time its target is mounted; runc refuses one too. */
static int check_root(const char *path, struct fb_error *err)
{
	struct stat st;

	if (!path)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, EINVAL, "config", ".root", "must have a path");
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, EINVAL, "config", ".root.path", "must not be a symbolic link");
	return 0;
}

static int load_bundle(struct creation *new, struct fb_error *err)
{
	fb_auto_free char *bundle = realpath(new->options->bundle ? new->options->bundle : ".", NULL);
	fb_auto_free char *text = NULL;
	char path[PATH_MAX];
	ssize_t length;
	int r;

	if (!bundle)
		return FB_FAIL(err, FB_STAGE_SPEC, "open", new->options->bundle);
	if ((size_t)(new->options->config ? snprintf(path, sizeof(path), "%s", new->options->config) :
					    snprintf(path, sizeof(path), "%s/config.json", bundle)) >= sizeof(path))
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, ENAMETOOLONG, "open", bundle, NULL);
	length = fb_read_file(AT_FDCWD, path, FB_SPEC_MAX_BYTES, &text);
	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, (int)-length, "open", path,
				    length == -EINVAL ? "is not a regular file" : NULL);
	r = fb_spec_parse(text, (size_t)length, bundle, &new->spec, err);
	fb_oci_warn_of(new->oci, &new->spec.process);
	if (r == 0)
		r = fb_oci_use_cache(new->oci, &new->spec, err);
	if (r == 0)
		r = check_root(new->spec.root_path, err);
	if (r == 0)
		r = fb_oci_state_new(new->oci, new->options->id, &new->state, err);
	if (r < 0)
		return r;
	/* exec and delete go by what was created, whatever becomes of the bundle. */
	r = fb_write_file(new->state.directory, "config.json", text, (size_t)length, false);
	if (r < 0)
		return FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", "config.json", NULL);
	new->state.bundle = strdup(bundle);
	new->state.rootfs = strdup(new->spec.root_path);
	return new->state.bundle && new->state.rootfs ? 0 : fail(err, ENOMEM, NULL, NULL);
}

/* What every container may use, whatever its list says, as with the other runtimes: without it none could write to /dev/null. */
static const struct fb_device_rule always[] = {
	{true, 'c', -1, -1, FB_ACCESS_MKNOD}, {true, 'b', -1, -1, FB_ACCESS_MKNOD},
	{true, 'c', 1, 3, 7}, {true, 'c', 1, 8, 7}, {true, 'c', 1, 7, 7}, {true, 'c', 5, 0, 7},
	{true, 'c', 1, 5, 7}, {true, 'c', 1, 9, 7}, {true, 'c', 136, -1, 7}, {true, 'c', 5, 2, 7}, {true, 'c', 10, 200, 7},
};

static int allow_devices(struct fb_spec *spec, struct fb_error *err)
{
	static const struct fb_device_rule nothing = {false, 'a', -1, -1, 7};
	struct fb_resources *res = &spec->resources;
	size_t count = res->device_count, more = sizeof(always) / sizeof(*always);
	struct fb_device_rule *rules = fb_arena_alloc(&spec->arena, (count + more + 1) * sizeof(*rules));

	if (!rules)
		return fail(err, ENOMEM, NULL, NULL);
	if (count)
		memcpy(rules, res->devices, count * sizeof(*rules));
	else
		rules[count++] = nothing;
	/* All is allowed already: an exception of a part could only take away. */
	if (count && rules[count - 1].allow && rules[count - 1].type == 'a' && rules[count - 1].major < 0)
		more = 0;
	memcpy(rules + count, always, more * sizeof(*rules));
	res->devices = rules;
	res->device_count = count + more;
	return 0;
}

static int make_scope(struct creation *new, struct fb_error *err)
{
	int r = fb_oci_scope_make(&new->spec, &new->state, &new->scope, &new->cgroup, err);

	if (r < 0)
		return r;
	new->state.cgroup = new->cgroup;
	return fb_cgroup_delegate(&new->cgroup, &new->spec, err);
}

/* Without rights to any group, a container that asks for none runs in the caller's. */
static int make_groups(struct creation *new, struct fb_error *err)
{
	const char *path = new->spec.cgroups_path ? new->spec.cgroups_path : new->options->id;
	const char *manager = new->oci->cgroup_manager;
	int r;

	if (manager && strcmp(manager, "disabled") == 0)
		return 0;
	r = allow_devices(&new->spec, err);
	if (r == 0 && new->oci->systemd_cgroup)
		return make_scope(new, err);
	if (r == 0)
		r = fb_cgroup_create(path, &new->spec.resources, FB_CGROUP_EVERY, &new->cgroup, err);
	if ((r == -EACCES || r == -EROFS || r == -EPERM || r == -ENOENT) && geteuid() != 0 && !new->spec.cgroups_path) {
		new->cgroup = (struct fb_cgroup){.into = -1};
		return 0;
	}
	if (r < 0)
		return r;
	new->state.cgroup = new->cgroup;
	return fb_cgroup_delegate(&new->cgroup, &new->spec, err);
}

static int listen_for_start(struct creation *new, struct fb_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	new->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start", new->state.directory);
	if (new->listener < 0 || bind(new->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(new->listener, 1) < 0)
		return FB_FAIL(err, FB_STAGE_START, new->listener < 0 ? "socket" : "bind", "start");
	return 0;
}

static bool has_own_pids(const struct fb_spec *spec)
{
	for (size_t i = 0; i < spec->namespace_count; i++)
		if (spec->namespaces[i].type == CLONE_NEWPID && !spec->namespaces[i].path)
			return true;
	return false;
}

static int prepare(struct creation *new, bool wait, struct fb_error *err)
{
	char created[FB_TIME_SIZE];
	struct timespec now;
	int r = load_bundle(new, err);

	new->loaded = fb_now();
	if (r == 0)
		r = fb_oci_check_console(&new->spec.process, wait || new->options->detach,
					 new->options->console_socket, err);
	if (r == 0 && new->spec.intel_rdt.present)
		r = FB_FAIL_CODE(err, FB_STAGE_PLAN, EOPNOTSUPP, "config", ".linux.intelRdt",
				 "cache and bandwidth allocation is not supported");
	if (r < 0)
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	fb_time_format(&now, created);
	new->state.created = strdup(created);
	new->state.owner = geteuid();
	new->state.own_pids = has_own_pids(&new->spec);
	r = new->state.created ? make_groups(new, err) : fail(err, ENOMEM, NULL, NULL);
	if (r == 0 && wait)
		r = listen_for_start(new, err);
	/* Before there is a process: whoever cleans up after a killed `create` finds its groups. */
	return r < 0 ? r : fb_oci_state_write(&new->state, err);
}

/* --- the process --- */

static int record(struct creation *new, const struct fb_launched *launched, struct fb_error *err)
{
	const struct options *options = new->options;
	int r;

	new->state.pid = launched->pid;
	new->state.start_time = fb_record_start_time(launched->pid, NULL);
	/* Without it nobody could tell this process from a later one with its number: it would be neither signalled nor ended. */
	if (!new->state.start_time)
		return FB_FAIL_CODE(err, FB_STAGE_RECORD, EIO, "read", "/proc/<pid>/stat", NULL);
	r = fb_oci_state_write(&new->state, err);
	if (r == 0 && options->console_socket)
		r = fb_oci_send_descriptor(options->console_socket, launched->console, err);
	if (r == 0 && options->pidfd_socket)
		r = fb_oci_send_descriptor(options->pidfd_socket, launched->pidfd, err);
	if (r == 0 && options->pid_file)
		r = fb_oci_write_pid(options->pid_file, launched->pid, err);
	return r;
}

/* Called while the process stands still: it goes on to wait only when all this is done. */
static int created(void *context, const struct fb_launched *launched, struct fb_error *err)
{
	struct creation *new = context;
	int r;

	fb_oci_scope_enter(&new->scope, &new->cgroup);
	/* Of a run: it is recorded when it has begun. */
	if (new->listener < 0)
		return 0;
	r = record(new, launched, err);
	/* The process has the locked directory, too, until it executes: when we are killed from here on, nobody else would unlock it. */
	if (r == 0)
		flock(new->state.directory, LOCK_UN);
	return r;
}

static int launch(struct creation *new, bool wait, struct fb_launched *launched, struct fb_error *err)
{
	const struct options *options = new->options;
	struct fb_launch_request what = {.spec = &new->spec, .id = options->id, .bundle = new->state.bundle,
					 .stdio = {0, 1, 2}, .target_pidfd = -1,
					 .cgroup = new->cgroup.path_count ? &new->cgroup : NULL,
					 .no_pivot = options->no_pivot, .no_new_keyring = options->no_new_keyring,
					 .wait_for_start = wait, .start_listener = new->listener,
					 .created = created, .context = new};
	int r = fb_oci_preserved(options->preserve_fds, &new->spec, &new->spec.process, &what.preserve_fds, err);

	if (r < 0)
		return r;
	new->tried = true;
	r = fb_launch(&what, launched, err);
	if (r == 0)
		fb_oci_scope_enter(&new->scope, &new->cgroup);
	return r;
}

static void begin(struct creation *new, const struct fb_oci *oci, const struct options *options)
{
	*new = (struct creation){.oci = oci, .options = options, .listener = -1, .cgroup = {.into = -1}, .began = fb_now(),
				 .state = {.directory = -1}};
}

static void end(struct creation *new)
{
	fb_cleanup_fd(&new->listener);
	fb_cgroup_close(&new->cgroup);
	fb_oci_scope_free(&new->scope);
	fb_oci_state_close(&new->state);
	fb_spec_free(&new->spec);
}

/* Everything that was made, backwards. */
static void undo(struct creation *new)
{
	fb_oci_scope_free(&new->scope);
	if (new->state.directory < 0)
		return;
	flock(new->state.directory, LOCK_EX);
	fb_cgroup_close(&new->cgroup);
	fb_oci_destroy(new->oci, &new->state, new->tried ? &new->spec : NULL, NULL);
}

static int create(struct creation *new, bool wait, struct fb_launched *launched, struct fb_error *err)
{
	int r = prepare(new, wait, err);

	new->recorded = fb_now();
	if (r == 0)
		r = launch(new, wait, launched, err);
	if (r < 0)
		undo(new);
	if (r < 0)
		return r;
	launched->clocks.begin = new->began;
	launched->clocks.at[FB_STAGE_SPEC] = new->loaded;
	launched->clocks.at[FB_STAGE_RECORD] = new->recorded;
	fb_clocks_report(new->oci->timings, new->options->id, &launched->clocks);
	return r;
}

int fb_oci_create(const struct fb_oci *oci, int argc, char **argv)
{
	struct options options = {0};
	struct fb_error err = {0};
	struct fb_launched launched = {.pidfd = -1, .console = -1};
	struct creation new;
	int r = read_options(argc, argv, &options, &err);

	if (r < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	begin(&new, oci, &options);
	r = create(&new, true, &launched, &err);
	end(&new);
	return r < 0 ? fb_oci_fail(oci, 1, &err, "unable to start container process") : 0;
}

/* A container that its poststart hooks refuse is ended (runtime.md, lifecycle). */
static int poststart(const struct fb_oci *oci, struct fb_oci_state *state, const struct fb_spec *spec, struct fb_error *err)
{
	int r = fb_oci_hooks(state, spec, FB_HOOK_POSTSTART, "running", err);

	if (r < 0)
		fb_oci_destroy(oci, state, spec, NULL);
	return r;
}

static int start(const struct fb_oci *oci, struct fb_oci_state *state, struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);
	struct fb_spec spec = {0};
	int r;

	if (status != FB_OCI_CREATED)
		return fail(err, EINVAL, state->id,
			    status == FB_OCI_STOPPED ? "cannot start a container that has stopped" :
						       "cannot start an already running container");
	r = fb_oci_state_spec(state, &spec, err);
	if (r == 0) {
		r = fb_launch_start(state->directory, "start", err);
		unlinkat(state->directory, "start", 0);
	}
	if (r == 0)
		r = poststart(oci, state, &spec, err);
	fb_spec_free(&spec);
	return r;
}

int fb_oci_start(const struct fb_oci *oci, int argc, char **argv)
{
	static const struct fb_oci_option none[] = {{.kind = FB_OCI_ANYWHERE}};
	struct fb_oci_state state = {.directory = -1};
	struct fb_error err = {0};
	int words = 0, r = fb_oci_options(none, argc, argv, &words, &err);

	if (r == 0 && argc - words != 1)
		r = fail(&err, EINVAL, "start", "takes exactly one container id");
	if (r == 0)
		r = fb_oci_state_open(oci, argv[words], true, &state, &err);
	if (r == 0)
		r = start(oci, &state, &err);
	fb_oci_state_close(&state);
	return r < 0 ? fb_oci_fail(oci, 1, &err, NULL) : 0;
}

static int run(struct creation *new, int *ret_code, struct fb_error *err)
{
	struct fb_launched launched = {.pidfd = -1, .console = -1};
	int r = create(new, false, &launched, err);

	if (r < 0)
		return r;
	fb_cgroup_close(&new->cgroup);
	r = record(new, &launched, err);
	if (r == 0)
		r = fb_oci_hooks(&new->state, &new->spec, FB_HOOK_POSTSTART, "running", err);
	/* Others may change it while we wait. */
	if (r == 0 && !new->options->detach) {
		flock(new->state.directory, LOCK_UN);
		*ret_code = fb_oci_wait(launched.pid, launched.pidfd, launched.console);
		flock(new->state.directory, LOCK_EX);
	}
	if (r < 0 || (!new->options->detach && !new->options->keep))
		fb_oci_destroy(new->oci, &new->state, &new->spec, r < 0 ? NULL : err);
	fb_cleanup_fd(&launched.pidfd);
	fb_cleanup_fd(&launched.console);
	return r;
}

int fb_oci_run(const struct fb_oci *oci, int argc, char **argv)
{
	struct options options = {0};
	struct fb_error err = {0};
	struct creation new;
	int code = 0, r = read_options(argc, argv, &options, &err);

	if (r < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	fb_oci_hold_signals();
	begin(&new, oci, &options);
	r = run(&new, &code, &err);
	end(&new);
	return r < 0 ? fb_oci_fail(oci, 1, &err, "unable to start container process") : code;
}
