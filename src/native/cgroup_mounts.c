/* Which hierarchies there are, and where in them the caller is. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define STANDARD_MOUNT "/sys/fs/cgroup"

/* "unified" is no controller's name: in a list of paths it marks the v2 hierarchy of a hybrid machine. */
static const char *const controller_names[FB_HIERARCHY_COUNT] = {
	[FB_CONTROLLER_CPU] = "cpu",		     [FB_CONTROLLER_CPUSET] = "cpuset",
	[FB_CONTROLLER_MEMORY] = "memory",	     [FB_CONTROLLER_DEVICES] = "devices",
	[FB_CONTROLLER_PIDS] = "pids",		     [FB_CONTROLLER_BLKIO] = "blkio",
	[FB_CONTROLLER_CPUACCT] = "cpuacct",	     [FB_CONTROLLER_FREEZER] = "freezer",
	[FB_CONTROLLER_HUGETLB] = "hugetlb",	     [FB_CONTROLLER_NET_CLS] = "net_cls",
	[FB_CONTROLLER_NET_PRIO] = "net_prio",	     [FB_CONTROLLER_RDMA] = "rdma",
	[FB_CONTROLLER_PERF_EVENT] = "perf_event",   [FB_CONTROLLER_MISC] = "misc",
	[FB_CONTROLLER_SYSTEMD] = "name=systemd",    [FB_UNIFIED] = "unified",
};

const char *fb_cgroup_controller(const char *name)
{
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++)
		if (strcmp(controller_names[i], name) == 0)
			return controller_names[i];
	return NULL;
}

const char *fb_controller_name(enum fb_controller controller)
{
	return controller_names[controller];
}

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

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

/* Those of which the engine's own limits are made; most machines have no others. */
static bool common_found(const struct fb_cgroup_mounts *mounts)
{
	for (int i = 0; i < FB_CONTROLLER_COMMON_COUNT; i++)
		if (!mounts->of[i].at[0])
			return false;
	return mounts->of[FB_UNIFIED].at[0];
}

int fb_cgroup_find_mounts(unsigned flags, struct fb_cgroup_mounts *ret_mounts, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts = {.flags = flags};
	bool every = flags & FB_CGROUP_EVERY;
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
	while ((every || !common_found(&mounts)) && getline(&line, &room, file) > 0)
		note_line(line, &mounts);
	fclose(file);
	mounts.mode = mode_of(&mounts);
	*ret_mounts = mounts;
	return 0;
}

const char *fb_cgroup_common_path(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group)
{
	for (int i = 0; i < group->path_count; i++)
		for (int hierarchy = 0; hierarchy < FB_HIERARCHY_COUNT; hierarchy++) {
			const char *at = mounts->of[hierarchy].at;
			size_t length = strlen(at);

			if (length && strncmp(group->paths[i], at, length) == 0 &&
			    group->paths[i][length] == '/')
				return group->paths[i] + length;
		}
	return NULL;
}

enum fb_cgroup_mode fb_cgroup_detect(void)
{
	struct fb_cgroup_mounts mounts = {0};

	return fb_cgroup_find_mounts(0, &mounts, NULL) < 0 ? FB_CGROUP_NONE : mounts.mode;
}

/* `process` is its directory in /proc. */
static int group_of(const char *process, const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy,
		    char *ret_path, size_t size, struct fb_error *err)
{
	const char *root = mounts->of[hierarchy].root;
	char text[8192], *save = NULL;
	ssize_t got = fb_cgroup_read(process, "cgroup", text, sizeof(text));

	if (got < 0)
		return fail(err, (int)-got, "read", process, NULL);
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
	return fail(err, ENOENT, "read", process, "its list of groups has no line for this hierarchy");
}

int fb_cgroup_own(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy, char *ret_path, size_t size,
		  struct fb_error *err)
{
	return group_of("/proc/self", mounts, hierarchy, ret_path, size, err);
}

/* On v1 systemd keeps its units in a hierarchy of its own, and those of its controllers have the same paths. */
int fb_cgroup_of(pid_t pid, char *ret_path, size_t size, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	char process[32];
	int r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);

	snprintf(process, sizeof(process), "/proc/%d", pid);
	return r < 0 ? r : group_of(process, &mounts, mounts.of[FB_CONTROLLER_SYSTEMD].at[0] ? FB_CONTROLLER_SYSTEMD : FB_UNIFIED,
				    ret_path, size, err);
}

int fb_cgroup_open_of(int pidfd)
{
	struct fb_cgroup_mounts mounts;
	char path[512], text[512], own[256];
	const char *line;
	int pid, r = fb_cgroup_find_mounts(0, &mounts, NULL);

	snprintf(path, sizeof(path), "%d", pidfd);
	if (r < 0 || (r = (int)fb_cgroup_read("/proc/self/fdinfo", path, text, sizeof(text))) < 0)
		return r;
	line = strstr(text, "\nPid:");
	if (!line || sscanf(line, "\nPid: %d", &pid) != 1 || pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if ((r = group_of(path, &mounts, FB_UNIFIED, own, sizeof(own), NULL)) < 0)
		return r;
	snprintf(path, sizeof(path), "%s%s", mounts.of[FB_UNIFIED].at, own);
	r = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}
