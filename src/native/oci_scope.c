/* A container's group where systemd is asked for it (--systemd-cgroup): a scope, with the group's files written as they are without systemd.
 *
 * A scope begins with a process and ends with its last. The container's is cloned into the group and so comes after it: until then a copy of ours
 * holds the scope. It does nothing, and dies with us: of a `create` that is killed systemd clears the scope away itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "oci_run.h"
#include "cgroup_systemd.h"
#include "userns.h"

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, "systemd", path, detail);
}

/* --- the name --- */

/* "slice:prefix:name"; empty parts as runc has them. */
static int name_unit(const char *path, const char *id, bool user, char **ret_slice, char **ret_unit, struct fb_error *err)
{
	const char *colon = path ? strchr(path, ':') : NULL, *second = colon ? strchr(colon + 1, ':') : NULL;
	const char *slice = user ? "user.slice" : "system.slice";
	size_t length;

	if (path && (!second || strchr(second + 1, ':')))
		return fail(err, EINVAL, path, "with --systemd-cgroup the cgroups path must be slice:prefix:name");
	if (path)
		id = second + 1;
	length = strlen(id);
	if (length >= 6 && strcmp(id + length - 6, ".slice") == 0)
		return fail(err, EINVAL, id, "a container can't be a slice, which has no processes");
	*ret_slice = path && colon > path ? strndup(path, (size_t)(colon - path)) : strdup(slice);
	if (asprintf(ret_unit, "%.*s-%s.scope", path ? (int)(second - colon - 1) : 7, path ? colon + 1 : "fastbox", id) < 0)
		*ret_unit = NULL;
	return *ret_slice && *ret_unit ? 0 : fail(err, ENOMEM, id, NULL);
}

/* --- the process that holds it --- */

static pid_t hold(void)
{
	pid_t parent = getpid(), pid = fb_copy(SIGCHLD);

	if (pid != 0)
		return pid;
	fb_close_from(0);
	/* Who died before this call is not waited for. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(1);
	for (;;)
		pause();
}

static void let_go(struct fb_oci_scope *scope)
{
	if (scope->holder <= 0)
		return;
	kill(scope->holder, SIGKILL);
	fb_copy_wait(scope->holder);
	scope->holder = 0;
}

/* It is one more process than the container has: a limit of the container's is one higher as long as it is there. */
static void change_limit(struct fb_oci_scope *scope, const struct fb_cgroup *group, int by)
{
	fb_cgroup_raise(group, "pids.max", by);
	scope->raised = by > 0;
}

void fb_oci_scope_enter(struct fb_oci_scope *scope, const struct fb_cgroup *group)
{
	let_go(scope);
	if (scope->raised)
		change_limit(scope, group, -1);
}

/* --- the whole --- */

static int start(const struct fb_spec *spec, const struct fb_oci_state *state, pid_t holder, const char *slice, struct fb_error *err)
{
	struct fb_systemd_scope what = {.unit = state->unit, .slice = slice, .owner = state->path, .pid = holder,
					.user = state->unit_of_user, .mode = fb_cgroup_detect(), .resources = &spec->resources,
					.annotations = &spec->annotations};

	return fb_systemd_start(&what, err);
}

/* systemd escapes a name that could be a file's of the kernel by a first '_'. */
static bool is_of(const char *path, const char *unit)
{
	const char *name = strrchr(path, '/');

	return name && strcmp(name + 1 + (name[1] == '_' && *unit != '_'), unit) == 0;
}

static int make_groups(const struct fb_spec *spec, struct fb_oci_state *state, struct fb_oci_scope *scope, struct fb_cgroup *ret_group,
		       struct fb_error *err)
{
	char path[256];
	int r = fb_cgroup_of(scope->holder, path, sizeof(path), err);

	/* Whoever ends it at the wrong moment leaves it in the caller's group, which is not ours to limit and to remove. */
	if (r == 0 && !is_of(path, state->unit))
		r = fail(err, ESRCH, path, "the process that was to hold it has been killed");
	if (r == 0)
		r = fb_cgroup_foresee(path, &state->cgroup, err);
	/* On v2 the group ends with the unit; on v1 there are some that systemd knows nothing of. */
	if (r == 0 && state->cgroup.mode != FB_CGROUP_V2)
		r = fb_oci_state_write(state, err);
	if (r == 0)
		r = fb_cgroup_create(path, &spec->resources, FB_CGROUP_EVERY | FB_CGROUP_HELD, ret_group, err);
	if (r == 0)
		change_limit(scope, ret_group, 1);
	return r;
}

int fb_oci_scope_make(const struct fb_spec *spec, struct fb_oci_state *state, struct fb_oci_scope *scope, struct fb_cgroup *ret_group,
		      struct fb_error *err)
{
	fb_auto_free char *slice = NULL;
	int r;

	if (!fb_dbus_has_systemd(&state->unit_of_user))
		return fail(err, ENOTSUP, spec->cgroups_path, "this host is not run by systemd: leave out --systemd-cgroup, and write a path");
	r = name_unit(spec->cgroups_path, state->id, state->unit_of_user, &slice, &state->unit, err);
	/* From here on `delete` asks systemd for it. */
	if (r == 0)
		r = fb_oci_state_write(state, err);
	if (r < 0)
		return r;
	scope->holder = hold();
	if (scope->holder < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "clone", state->unit);
	r = start(spec, state, scope->holder, slice, err);
	return r < 0 ? r : make_groups(spec, state, scope, ret_group, err);
}

void fb_oci_scope_free(struct fb_oci_scope *scope)
{
	let_go(scope);
}
