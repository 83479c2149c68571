/* Files and directories of groups, and the ways in. */
#include "cgroup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "io.h"

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* --- files --- */

int fb_cgroup_write(const char *directory, const char *file, const char *value,
		    struct fb_error *err)
{
	fb_auto_close int fd = -1;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", path);
	if (write(fd, value, strlen(value)) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "write", path);
	return 0;
}

int fb_cgroup_write_number(const char *directory, const char *file, int64_t value,
			   struct fb_error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return fb_cgroup_write(directory, file, text, err);
}

int fb_cgroup_write_if_known(const char *directory, const char *file, const char *value, const char *lacking,
			     struct fb_error *err)
{
	struct fb_error ours = {0};
	int r = fb_cgroup_write(directory, file, value, &ours);

	if (r == -ENOENT || r == -EOPNOTSUPP)
		return fail(err, ENOTSUP, ours.call, ours.path, lacking);
	if (r < 0 && err)
		*err = ours;
	return r;
}

ssize_t fb_cgroup_read(const char *directory, const char *file, char *buffer, size_t size)
{
	fb_auto_close int fd = -1;
	char path[512];
	ssize_t got;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = fb_read_all(fd, buffer, size - 1);
	if (got < 0)
		return got;
	if (got > 0 && buffer[got - 1] == '\n')
		got--;
	buffer[got] = '\0';
	return got;
}

bool fb_cgroup_has(const char *directory, const char *file)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return access(path, F_OK) == 0;
}

/* --- directories --- */

static int check_path(const char *path, struct fb_error *err)
{
	const char *colon = strchr(path, ':');

	if (path[0] != '/' && colon && strchr(colon + 1, ':') && !strchr(path, '/'))
		return fail(err, EINVAL, "cgroup", path,
			    "slice:prefix:name is for --systemd-cgroup, write a path");
	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return fail(err, EINVAL, "cgroup", path,
				    "\"..\" is not allowed in a cgroups path");
	}
	if (strspn(path, "/.") == strlen(path))
		return fail(err, EINVAL, "cgroup", path, "the cgroups path names no group");
	return 0;
}

/* Others make a group first, with limits, and name it in the bundle. A process in it would get the container's limits and its end, and one that
 * is born into a frozen group does not come to the exec that its parent waits for. */
static int take_over(const char *directory, struct fb_error *err)
{
	char state[64] = "";

	if (fb_cgroup_list(directory, NULL) != 0)
		return fail(err, EBUSY, "cgroup", directory, "the group exists and processes are in it");
	if (fb_cgroup_read(directory, "cgroup.events", state, sizeof(state)) < 0)
		fb_cgroup_read(directory, "freezer.state", state, sizeof(state));
	if (strstr(state, "frozen 1") || strncmp(state, "FR", 2) == 0)
		return fail(err, EBUSY, "cgroup", directory, "the group exists and is frozen");
	return 0;
}

static int make_directory(const char *directory, bool leaf, unsigned flags, struct fb_error *err)
{
	if (mkdir(directory, 0755) == 0 || (!leaf && errno == EEXIST))
		return 0;
	if (errno != EEXIST)
		return FB_FAIL(err, FB_STAGE_CGROUP, "mkdir", directory);
	if (flags & FB_CGROUP_EVERY)
		return flags & FB_CGROUP_HELD ? 0 : take_over(directory, err);
	/* An old one without processes is replaced, so that none of its limits stay. */
	if (rmdir(directory) < 0 && errno != ENOENT)
		return fail(err, errno, "rmdir", directory, "the group exists and is in use");
	if (mkdir(directory, 0755) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "mkdir", directory);
	return 0;
}

int fb_cgroup_make(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy, const char *path,
		   fb_cgroup_visit visit, const void *context, struct fb_cgroup *group, struct fb_error *err)
{
	char *full = group->paths[group->path_count], own[256] = "";
	size_t size = sizeof(group->paths[0]), at;
	int r = path[0] == '/' ? 0 : fb_cgroup_own(mounts, hierarchy, own, sizeof(own), err);

	if (r < 0)
		return r;
	/* On v2 a group with processes, and the caller is one, has no children with controllers: next to it, then. */
	if (mounts->mode == FB_CGROUP_V2 && strrchr(own, '/'))
		*strrchr(own, '/') = '\0';
	if ((size_t)snprintf(full, size, "%s%s/%s", mounts->of[hierarchy].at, own,
			     path + strspn(path, "/")) >= size)
		return fail(err, ENAMETOOLONG, "cgroup", path, "the cgroups path is too long");
	/* Walk down by cutting the string at each slash in turn. */
	at = strlen(mounts->of[hierarchy].at);
	while (r == 0) {
		char slash = full[at];
		bool leaf = full[at + strspn(full + at, "/")] == '\0';

		full[at] = '\0';
		if (at > strlen(mounts->of[hierarchy].at))
			r = make_directory(full, leaf, mounts->flags, err);
		if (r == 0 && leaf)
			group->path_count++; /* from here on a failure removes it */
		if (r == 0 && visit)
			r = visit(full, leaf, context, err);
		if (leaf)
			break;
		full[at] = slash;
		at += strspn(full + at, "/");
		at += strcspn(full + at, "/");
	}
	return r;
}

/* --- the ways in --- */

bool fb_cgroup_swap_may_be_ignored(const struct fb_resources *resources)
{
	return resources->memory_swap < 0 || resources->memory_swap == resources->memory_limit ||
	       resources->memory_swap == 2 * resources->memory_limit;
}

/* An update may leave the memory limit as it is. */
static int check_resources(const struct fb_resources *r, bool update, struct fb_error *err)
{
	if (r->has_memory_swap && r->memory_swap > 0 &&
	    (r->memory_limit < 0 || (!update && !(r->has_memory_limit && r->memory_limit))))
		return fail(err, EINVAL, "memory", NULL,
			    "a limit of memory plus swap needs a memory limit too");
	if (r->has_memory_swap && r->memory_swap > 0 && r->memory_swap < r->memory_limit)
		return fail(err, EINVAL, "memory", NULL,
			    "memory plus swap must not be below the memory limit");
	return 0;
}

int fb_cgroup_create_in(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *ret_group,
			struct fb_error *err)
{
	struct fb_cgroup group = {.mode = mounts->mode, .into = -1};
	const char *made[FB_CGROUP_MAX];
	int r = check_path(path, err);

	if (r == 0)
		r = check_resources(resources, false, err);
	if (r < 0)
		return r;
	if (mounts->mode == FB_CGROUP_NONE)
		return fail(err, ENOENT, "cgroup", NULL, "no cgroup hierarchy is mounted");
	if (mounts->mode == FB_CGROUP_V2)
		r = fb_cgroup_v2_create(mounts, path, resources, &group, err);
	else
		r = fb_cgroup_v1_create(mounts, path, resources, &group, err);
	if (r < 0) {
		for (int i = 0; i < group.path_count; i++)
			made[i] = group.paths[i];
		fb_cgroup_close(&group);
		if (mounts->flags & FB_CGROUP_HELD)
			fb_cgroup_kill(made, group.path_count, NULL);
		fb_cgroup_remove(made, group.path_count, NULL);
		return r;
	}
	*ret_group = group;
	return 0;
}

int fb_cgroup_create(const char *path, const struct fb_resources *resources, unsigned flags,
		     struct fb_cgroup *ret_group, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	int r = fb_cgroup_find_mounts(flags, &mounts, err);

	return r < 0 ? r : fb_cgroup_create_in(&mounts, path, resources, ret_group, err);
}

int fb_cgroup_foresee(const char *path, struct fb_cgroup *ret_group, struct fb_error *err)
{
	struct fb_cgroup group = {.into = -1};
	struct fb_cgroup_mounts mounts;
	int r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);

	if (r < 0)
		return r;
	group.mode = mounts.mode;
	/* The v2 one first, as they are made. */
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++) {
		int hierarchy = i ? i - 1 : FB_UNIFIED;
		char *full = group.paths[group.path_count];
		bool known = !mounts.of[hierarchy].at[0];

		if ((size_t)snprintf(full, sizeof(group.paths[0]), "%s%s", mounts.of[hierarchy].at, path) >= sizeof(group.paths[0]))
			return fail(err, ENAMETOOLONG, "cgroup", path, "the cgroups path is too long");
		for (int j = 0; j < group.path_count; j++)
			known |= strcmp(group.paths[j], full) == 0;
		if (!known)
			group.controllers[group.path_count++] = fb_controller_name((enum fb_controller)hierarchy);
	}
	*ret_group = group;
	return 0;
}

int fb_cgroup_open(struct fb_cgroup *group, struct fb_error *err)
{
	struct fb_cgroup open_group = *group;
	char path[512];
	int fd, r = 0;

	open_group.into = -1;
	open_group.procs_count = 0;
	for (int i = 0; i < group->path_count && r == 0; i++) {
		bool v2 = group->mode == FB_CGROUP_V2 ||
			  group->controllers[i] == fb_controller_name(FB_UNIFIED);

		snprintf(path, sizeof(path), "%s%s", group->paths[i], v2 ? "" : "/tasks");
		fd = open(path, v2 ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			r = FB_FAIL(err, FB_STAGE_CGROUP, "open", path);
		else if (v2)
			open_group.into = fd;
		else
			open_group.procs[open_group.procs_count++] = fd;
	}
	if (r < 0) {
		fb_cgroup_close(&open_group);
		return r;
	}
	*group = open_group;
	return 0;
}

int fb_cgroup_update(const struct fb_cgroup *group, const struct fb_resources *resources,
		     struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	int r = check_resources(resources, true, err);

	if (r < 0)
		return r;
	if (group->path_count == 0)
		return fail(err, ENOENT, "cgroup", NULL, "the container has no group of its own");
	if (group->mode == FB_CGROUP_V2)
		return fb_cgroup_v2_update(group->paths[0], resources, err);
	r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);
	return r < 0 ? r : fb_cgroup_v1_update(&mounts, group, resources, err);
}

void fb_cgroup_close(struct fb_cgroup *group)
{
	fb_cleanup_fd(&group->into);
	while (group->procs_count > 0)
		fb_cleanup_fd(&group->procs[--group->procs_count]);
}
