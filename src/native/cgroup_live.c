/* A group with processes in it: who they are, stopping and continuing them, and whose the group is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define DEPTH_MAX 128	 /* of nested groups */
#define FREEZE_TRIES 1000
#define FREEZE_WAIT 10000 /* ms: a process in uninterruptible sleep may take so long */

static int fail(struct fb_error *err, int code, const char *call, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* --- processes --- */

struct list {
	pid_t *pids;
	size_t count, room;
	bool keep;
};

static int add(struct list *list, pid_t pid)
{
	if (list->keep && list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		pid_t *pids = realloc(list->pids, room * sizeof(*pids));

		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->room = room;
	}
	if (list->keep)
		list->pids[list->count] = pid;
	list->count++;
	return 0;
}

/* Processes of a threaded group are listed by the domain group above it. */
static int read_procs(int directory, struct list *list)
{
	fb_auto_close int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	int pid, r = 0;

	if (!file)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	fb_steal_fd(&fd);
	/* 0 stands for a process outside of our pid namespace. */
	while (r == 0 && fscanf(file, "%d", &pid) == 1)
		if (pid > 0)
			r = add(list, pid);
	fclose(file);
	return r;
}

static int walk(int parent, const char *name, int depth, struct list *list)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
	fb_auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;

	if (!dir)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	r = read_procs(fd, list);
	while (r == 0 && depth < DEPTH_MAX && (item = readdir(dir)))
		if (item->d_type == DT_DIR && strcmp(item->d_name, ".") && strcmp(item->d_name, ".."))
			r = walk(fd, item->d_name, depth + 1, list);
	return r;
}

ssize_t fb_cgroup_list(const char *directory, pid_t **pids)
{
	struct list list = {.keep = pids != NULL};
	int r = walk(AT_FDCWD, directory, 0, &list);

	if (r < 0) {
		free(list.pids);
		return r;
	}
	if (pids)
		*pids = list.pids;
	return (ssize_t)list.count;
}

int fb_cgroup_processes(const struct fb_cgroup *group, pid_t **ret_pids, size_t *ret_count, struct fb_error *err)
{
	pid_t *pids = NULL;
	ssize_t count;

	if (group->path_count == 0)
		return fail(err, ENOENT, "cgroup", NULL, "the container has no group of its own");
	count = fb_cgroup_list(group->paths[0], &pids);
	if (count < 0)
		return fail(err, (int)-count, "read", group->paths[0], NULL);
	*ret_pids = pids;
	*ret_count = (size_t)count;
	return 0;
}

/* --- freezing --- */

const char *fb_cgroup_directory(const struct fb_cgroup *group, const char *file)
{
	for (int i = 0; i < group->path_count; i++)
		if (fb_cgroup_has(group->paths[i], file))
			return group->paths[i];
	return NULL;
}

void fb_cgroup_raise(const struct fb_cgroup *group, const char *file, int by)
{
	const char *directory = fb_cgroup_directory(group, file);
	char text[32] = "";

	if (directory && fb_cgroup_read(directory, file, text, sizeof(text)) > 0 && *text >= '0' && *text <= '9')
		fb_cgroup_write_number(directory, file, strtoll(text, NULL, 10) + by, NULL);
}

/* v1's freezer misses processes that are forked meanwhile and says so: FREEZING is for the caller to repeat. A short time of running lets it
 * come to an end where a repetition alone does not. */
static int freeze_v1(const char *directory, struct fb_error *err)
{
	const struct timespec pause = {0, 10 * 1000000};
	char state[32];

	for (int i = 0; i < FREEZE_TRIES; i++) {
		int r = fb_cgroup_write(directory, "freezer.state", "FROZEN", err);

		if (r < 0)
			return r;
		if (fb_cgroup_read(directory, "freezer.state", state, sizeof(state)) < 0)
			return fail(err, EIO, "read", directory, NULL);
		if (strcmp(state, "FROZEN") == 0)
			return 0;
		if (i % 20 == 19) {
			nanosleep(&pause, NULL);
			if (i % 100 == 99)
				fb_cgroup_write(directory, "freezer.state", "THAWED", NULL);
		}
	}
	fb_cgroup_write(directory, "freezer.state", "THAWED", NULL);
	return fail(err, ETIMEDOUT, "write", directory, "a process of the group can't be stopped");
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int freeze_v2(const char *directory, bool frozen, struct fb_error *err)
{
	const char *wanted = frozen ? "frozen 1" : "frozen 0";
	fb_auto_close int fd = -1;
	long end = milliseconds() + FREEZE_WAIT;
	char path[512], text[128];
	int r;

	/* Open before the write: each change after that wakes the poll. */
	snprintf(path, sizeof(path), "%s/cgroup.events", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", path);
	r = fb_cgroup_write(directory, "cgroup.freeze", frozen ? "1" : "0", err);
	while (r == 0) {
		ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
		long left = end - milliseconds();

		if (length < 0)
			return FB_FAIL(err, FB_STAGE_CGROUP, "read", path);
		text[length] = '\0';
		/* A group above that is frozen keeps this one so: then what was asked for is all that can be had. */
		if (strstr(text, wanted) || (!frozen && left <= 0))
			return 0;
		if (left <= 0)
			break;
		poll(&(struct pollfd){.fd = fd, .events = POLLPRI}, 1, left < 100 ? (int)left : 100);
	}
	fb_cgroup_write(directory, "cgroup.freeze", "0", NULL);
	return r < 0 ? r : fail(err, ETIMEDOUT, "write", directory, "a process of the group can't be stopped");
}

int fb_cgroup_freeze(const struct fb_cgroup *group, bool frozen, struct fb_error *err)
{
	const char *v1 = fb_cgroup_directory(group, "freezer.state"), *v2;

	if (v1)
		return frozen ? freeze_v1(v1, err) : fb_cgroup_write(v1, "freezer.state", "THAWED", err);
	v2 = fb_cgroup_directory(group, "cgroup.freeze");
	if (v2)
		return freeze_v2(v2, frozen, err);
	return fail(err, ENOTSUP, "cgroup", NULL, "the container has no group that can be frozen");
}

int fb_cgroup_frozen(const struct fb_cgroup *group)
{
	const char *v1 = fb_cgroup_directory(group, "freezer.self_freezing");
	const char *directory = v1 ? v1 : fb_cgroup_directory(group, "cgroup.freeze");
	char text[16] = "";

	if (directory)
		fb_cgroup_read(directory, v1 ? "freezer.self_freezing" : "cgroup.freeze", text, sizeof(text));
	return strcmp(text, "1") == 0;
}

/* --- delegation --- */

/* The id outside of the process's own one; -1 when it has none there. */
static int64_t host_uid(const struct fb_spec *spec)
{
	uid_t uid = spec->process.uid;

	for (size_t i = 0; i < spec->uid_mapping_count; i++) {
		const struct fb_mapping *map = &spec->uid_mappings[i];

		if (uid >= map->container && uid - map->container < map->size)
			return (int64_t)map->host + (uid - map->container);
	}
	return spec->uid_mapping_count ? -1 : (int64_t)uid;
}

static bool is_writable_mount(const struct fb_mount_spec *mount)
{
	if (!mount->source || strcmp(mount->source, "cgroup") || strcmp(mount->destination, "/sys/fs/cgroup"))
		return false;
	for (size_t i = 0; i < mount->options.count; i++)
		if (strcmp(mount->options.items[i], "ro") == 0)
			return false;
	return true;
}

static bool wants_delegation(const struct fb_spec *spec)
{
	bool own = false, writable = false;

	for (size_t i = 0; i < spec->namespace_count; i++)
		own |= spec->namespaces[i].type == CLONE_NEWCGROUP && !spec->namespaces[i].path;
	for (size_t i = 0; i < spec->mount_count; i++)
		writable |= is_writable_mount(&spec->mounts[i]);
	return own && writable;
}

int fb_cgroup_delegate(const struct fb_cgroup *group, const struct fb_spec *spec, struct fb_error *err)
{
	char files[1024] = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads", path[512], *save = NULL;
	int64_t owner = host_uid(spec);

	if (group->mode != FB_CGROUP_V2 || owner < 0 || owner == geteuid() || !wants_delegation(spec))
		return 0;
	if (chown(group->paths[0], (uid_t)owner, (gid_t)-1) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "chown", group->paths[0]);
	fb_cgroup_read("/sys/kernel/cgroup", "delegate", files, sizeof(files));
	for (char *file = strtok_r(files, "\n", &save); file; file = strtok_r(NULL, "\n", &save)) {
		snprintf(path, sizeof(path), "%s/%s", group->paths[0], file);
		if (chown(path, (uid_t)owner, (gid_t)-1) < 0 && errno != ENOENT)
			return FB_FAIL(err, FB_STAGE_CGROUP, "chown", path);
	}
	return 0;
}
