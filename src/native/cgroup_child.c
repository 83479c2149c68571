/* A group of its own for one more process of a container, below the container's: so that the process is ended with all that it has
 * started, whatever sessions and parents those gave themselves.
 *
 * On v2 it has no controllers, which is what makes it legal below a group with processes; limits and the device rule are the container's.
 * On a hybrid machine the v2 hierarchy has such a group too, next to the v1 groups that the process joins as any other of the container.
 * Where there is no v2 hierarchy that may be written, it is below the container's group of pids, in which forks can be forbidden.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_internal.h"
#include "cleanup.h"

static bool is_v2(const char *directory)
{
	return fb_cgroup_has(directory, "cgroup.kill");
}

static int pids_index(const struct fb_cgroup *group)
{
	for (int i = 0; i < group->path_count && i < group->procs_count; i++)
		if (group->controllers[i] && strcmp(group->controllers[i], "pids") == 0)
			return i;
	return -1;
}

/* Parents that exist are fine; the group itself is only reached by who is root here. */
static int make_directories(char *path, size_t from)
{
	for (char *at = strchr(path + from, '/'); at; at = strchr(at + 1, '/')) {
		int r;

		if (at == path + from)
			continue;
		*at = '\0';
		r = mkdir(path, 0755);
		*at = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* The directory in the v2 hierarchy of a hybrid machine that has the same path as the container's groups of v1. */
static int beside(const struct fb_cgroup *group, char *ret_base, size_t size)
{
	struct fb_cgroup_mounts mounts;
	const char *path, *at;
	int r = fb_cgroup_find_mounts(0, &mounts, NULL);

	if (r < 0)
		return r;
	at = mounts.of[FB_UNIFIED].at;
	path = fb_cgroup_common_path(&mounts, group);
	if (!path || !at[0])
		return -ENOENT;
	if ((size_t)snprintf(ret_base, size, "%s%s", at, path) >= size)
		return -ENAMETOOLONG;
	r = make_directories(ret_base, strlen(at));
	/* 5.14. */
	return r < 0 || is_v2(ret_base) ? r : -ENOTSUP;
}

int fb_cgroup_child_base(const struct fb_cgroup *group, char *ret_base, size_t size)
{
	int r, pids;

	if (group->path_count == 0)
		return -ENOENT;
	if (group->mode == FB_CGROUP_V2) {
		snprintf(ret_base, size, "%s", group->paths[0]);
		return is_v2(ret_base) ? 0 : -ENOTSUP;
	}
	r = beside(group, ret_base, size);
	if (r == 0)
		return 1;
	pids = pids_index(group);
	if (pids < 0)
		return r;
	snprintf(ret_base, size, "%s", group->paths[pids]);
	return 0;
}

/* Into the copy: the child's place instead of the container's. */
static int open_child(const char *directory, struct fb_cgroup *joined)
{
	int pids = joined->mode == FB_CGROUP_V2 ? -1 : pids_index(joined), *slot = &joined->into, fd;
	char tasks[512];

	if (pids < 0 || strncmp(directory, joined->paths[pids], strlen(joined->paths[pids])) != 0) {
		fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		snprintf(tasks, sizeof(tasks), "%s/tasks", directory);
		slot = &joined->procs[pids];
		fd = open(tasks, O_WRONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	*slot = fd;
	return fd;
}

int fb_cgroup_child_make(const struct fb_cgroup *group, const char *directory, struct fb_cgroup *ret_joined)
{
	int fd;

	/* One that is there is what somebody in the container made, who may write to its groups: not ours to kill. */
	if (mkdir(directory, 0755) < 0)
		return -errno;
	*ret_joined = *group;
	fd = open_child(directory, ret_joined);
	if (fd < 0)
		(void)rmdir(directory);
	return fd;
}

int fb_cgroup_child_kill(const char *directory)
{
	/* v1: signals are slower than a loop of forks. No such file on v2, and there it takes one write anyway. */
	(void)fb_cgroup_write(directory, "pids.max", "0", NULL);
	return fb_cgroup_kill(&directory, 1, NULL);
}

int fb_cgroup_child_watch(const char *directory)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/cgroup.events", directory);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void read_again(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
}

bool fb_cgroup_child_populated(int events)
{
	char text[256];

	read_again(events, text, sizeof(text));
	return strstr(text, "populated 1") != NULL;
}

bool fb_cgroup_child_idle(int events)
{
	char text[256];

	read_again(events, text, sizeof(text));
	return strstr(text, "populated 0") && !strstr(text, "frozen 1");
}

int64_t fb_cgroup_child_cpu(int stat)
{
	char text[1024];

	read_again(stat, text, sizeof(text));
	return strncmp(text, "usage_usec ", 11) == 0 ? strtoll(text + 11, NULL, 10) : -1;
}
