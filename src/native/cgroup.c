/* Which hierarchies there are, and the ways in. */
#include "cgroup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "io.h"

#define STANDARD_MOUNT "/sys/fs/cgroup"

static const char *const controller_names[FB_CONTROLLER_V1_COUNT] = {
    [FB_CONTROLLER_CPU] = "cpu",       [FB_CONTROLLER_CPUSET] = "cpuset",
    [FB_CONTROLLER_MEMORY] = "memory", [FB_CONTROLLER_DEVICES] = "devices",
    [FB_CONTROLLER_PIDS] = "pids",     [FB_CONTROLLER_BLKIO] = "blkio",
};

const char *fb_controller_name(enum fb_controller controller)
{
	return controller < FB_CONTROLLER_V1_COUNT ? controller_names[controller] : "unified";
}

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* --- hierarchies --- */

/* Whether `name` is one of the words of a comma-separated list: cpu and cpuacct are one hierarchy
 * on most machines. */
static bool has_word(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

static void note_mount(struct fb_cgroup_mount *mount, const char *at, const char *root)
{
	/* The first one counts: later ones may be a container manager's own views of a part. */
	if (mount->at[0] || strlen(at) >= sizeof(mount->at) || strlen(root) >= sizeof(mount->root))
		return;
	strcpy(mount->at, at);
	strcpy(mount->root, root);
}

/* One line of mountinfo: "id parent dev ROOT AT options [tag...] - TYPE source SUPER-OPTIONS". */
static void note_line(char *line, struct fb_cgroup_mounts *mounts)
{
	char *separator = strstr(line, " - "), *save = NULL, *root, *at, *type, *options;

	if (!separator)
		return;
	*separator = '\0';
	type = strtok_r(separator + 3, " \n", &save);
	if (!type || strncmp(type, "cgroup", 6))
		return;
	strtok_r(NULL, " \n", &save);
	options = strtok_r(NULL, " \n", &save);
	strtok_r(line, " ", &save);
	strtok_r(NULL, " ", &save);
	strtok_r(NULL, " ", &save);
	root = strtok_r(NULL, " ", &save);
	at = strtok_r(NULL, " ", &save);
	if (!at || !options)
		return;
	if (strcmp(type, "cgroup2") == 0)
		note_mount(&mounts->of[FB_UNIFIED], at, root);
	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && strcmp(type, "cgroup") == 0; i++)
		if (has_word(options, controller_names[i]))
			note_mount(&mounts->of[i], at, root);
}

static enum fb_cgroup_mode mode_of(const struct fb_cgroup_mounts *mounts)
{
	bool v1 = false;

	for (int i = 0; i < FB_CONTROLLER_V1_COUNT; i++)
		v1 |= mounts->of[i].at[0] != '\0';
	if (mounts->of[FB_UNIFIED].at[0])
		return v1 ? FB_CGROUP_HYBRID : FB_CGROUP_V2;
	return v1 ? FB_CGROUP_V1 : FB_CGROUP_NONE;
}

static bool all_found(const struct fb_cgroup_mounts *mounts)
{
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++)
		if (!mounts->of[i].at[0])
			return false;
	return true;
}

int fb_cgroup_find_mounts(struct fb_cgroup_mounts *ret_mounts, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts = {0};
	fb_auto_free char *line = NULL;
	struct statfs fs;
	size_t room = 0;
	FILE *file;

	/* Where most machines have it, one call instead of reading mountinfo, which is long on a
	 * host full of containers. */
	if (statfs(STANDARD_MOUNT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		note_mount(&mounts.of[FB_UNIFIED], STANDARD_MOUNT, "/");
		mounts.mode = FB_CGROUP_V2;
		*ret_mounts = mounts;
		return 0;
	}
	file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", "/proc/self/mountinfo");
	while (!all_found(&mounts) && getline(&line, &room, file) > 0)
		note_line(line, &mounts);
	fclose(file);
	mounts.mode = mode_of(&mounts);
	*ret_mounts = mounts;
	return 0;
}

enum fb_cgroup_mode fb_cgroup_detect(void)
{
	struct fb_cgroup_mounts mounts = {0};

	return fb_cgroup_find_mounts(&mounts, NULL) < 0 ? FB_CGROUP_NONE : mounts.mode;
}

/* The caller's own group in a hierarchy, as the part of a path below its mount point ("" for the
 * mount point itself). */
static int own_group(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy,
		     char *ret_path, size_t size, struct fb_error *err)
{
	const char *root = mounts->of[hierarchy].root;
	char text[8192], *save = NULL;
	ssize_t got = fb_cgroup_read("/proc/self", "cgroup", text, sizeof(text));

	if (got < 0)
		return fail(err, (int)-got, "read", "/proc/self/cgroup", NULL);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		size_t skip = strcmp(root, "/") ? strlen(root) : 0;

		if (!path)
			continue;
		*path++ = '\0';
		if (hierarchy == FB_UNIFIED ? list[1] != '\0'
					    : !has_word(list + 1, fb_controller_name(hierarchy)))
			continue;
		if (skip && strncmp(path, root, skip) == 0 &&
		    (path[skip] == '/' || path[skip] == '\0'))
			path += skip;
		if ((size_t)snprintf(ret_path, size, "%s", strcmp(path, "/") ? path : "") < size)
			return 0;
		return fail(err, ENAMETOOLONG, "cgroup", path, NULL);
	}
	return fail(err, ENOENT, "read", "/proc/self/cgroup", "no line for this hierarchy");
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

/* --- directories --- */

static int check_path(const char *path, struct fb_error *err)
{
	const char *colon = strchr(path, ':');

	if (path[0] != '/' && colon && strchr(colon + 1, ':') && !strchr(path, '/'))
		return fail(err, EINVAL, "cgroup", path,
			    "slice:prefix:name needs systemd, write a path");
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

static int make_directory(const char *directory, bool leaf, struct fb_error *err)
{
	if (mkdir(directory, 0755) == 0 || (!leaf && errno == EEXIST))
		return 0;
	if (errno != EEXIST)
		return FB_FAIL(err, FB_STAGE_CGROUP, "mkdir", directory);
	/* An old one without processes is replaced, so that none of its limits stay. */
	if (rmdir(directory) < 0 && errno != ENOENT)
		return fail(err, errno, "rmdir", directory, "the group exists and is in use");
	if (mkdir(directory, 0755) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "mkdir", directory);
	return 0;
}

int fb_cgroup_make(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy,
		   const char *path, fb_cgroup_visit visit, const void *context,
		   struct fb_cgroup *group, struct fb_error *err)
{
	char *full = group->paths[group->path_count], own[256] = "";
	size_t size = sizeof(group->paths[0]), at;
	int r = path[0] == '/' ? 0 : own_group(mounts, hierarchy, own, sizeof(own), err);

	if (r < 0)
		return r;
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
			r = make_directory(full, leaf, err);
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

static int check_resources(const struct fb_resources *resources, struct fb_error *err)
{
	const struct fb_resources *r = resources;

	if (r->has_memory_swap && r->memory_swap > 0 &&
	    (!r->has_memory_limit || r->memory_limit < 0))
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
		r = check_resources(resources, err);
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
	int r = fb_cgroup_find_mounts(&mounts, err);

	(void)flags;
	return r < 0 ? r : fb_cgroup_create_in(&mounts, path, resources, ret_group, err);
}

int fb_cgroup_update(const struct fb_cgroup *group, const struct fb_resources *resources,
		     struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	int r = check_resources(resources, err);

	if (r == 0)
		r = fb_cgroup_find_mounts(&mounts, err);
	if (r < 0)
		return r;
	if (group->path_count == 0)
		return fail(err, ENOENT, "cgroup", NULL, "the container has no group of its own");
	return mounts.mode == FB_CGROUP_V2 ? fb_cgroup_v2_limits(group->paths[0], resources, err)
					   : fb_cgroup_v1_update(&mounts, group, resources, err);
}

void fb_cgroup_close(struct fb_cgroup *group)
{
	fb_cleanup_fd(&group->into);
	while (group->procs_count > 0)
		fb_cleanup_fd(&group->procs[--group->procs_count]);
}
