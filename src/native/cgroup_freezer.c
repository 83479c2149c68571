/* v1: the freezer's group of a container that was started without one, since a start pays for every
 * hierarchy that it touches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define PASSES 100 /* processes may be forked meanwhile, but their parents are there by then */

static bool is_among(pid_t pid, const pid_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Move what is not there yet; how many that were. A process that has ended meanwhile is none. */
static int move_processes(const struct fb_cgroup *group, const char *freezer, struct fb_error *err)
{
	fb_auto_free pid_t *all = NULL, *there = NULL;
	size_t count = 0;
	int moved = 0, r = fb_cgroup_processes(group, &all, &count, err);
	ssize_t known = r < 0 ? r : fb_cgroup_list(freezer, &there);

	if (known < 0)
		return r < 0 ? r
			     : FB_FAIL_CODE(err, FB_STAGE_CGROUP, (int)-known, "read", freezer, NULL);
	for (size_t i = 0; i < count; i++) {
		if (is_among(all[i], there, (size_t)known))
			continue;
		moved++;
		r = fb_cgroup_write_number(freezer, "cgroup.procs", all[i], err);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return moved;
}

int fb_cgroup_join_freezer(struct fb_cgroup *group, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	const char *path, *freezer;
	int r;

	if (fb_cgroup_directory(group, "freezer.state") || fb_cgroup_directory(group, "cgroup.freeze"))
		return 0;
	r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);
	if (r < 0)
		return r;
	path = fb_cgroup_common_path(&mounts, group);
	if (!path || !mounts.of[FB_CONTROLLER_FREEZER].at[0] || group->path_count == FB_CGROUP_MAX)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOTSUP, "cgroup", NULL,
				    "the container has no group that can be frozen");
	group->controllers[group->path_count] = fb_cgroup_controller("freezer");
	r = fb_cgroup_make(&mounts, FB_CONTROLLER_FREEZER, path, NULL, NULL, group, err);
	freezer = group->paths[group->path_count - 1];
	for (int i = 0; r >= 0 && i < PASSES; i++) {
		r = move_processes(group, freezer, err);
		if (r == 0)
			return 0;
	}
	return r < 0 ? r
		     : FB_FAIL_CODE(err, FB_STAGE_CGROUP, EAGAIN, "write", freezer,
				    "processes appear faster than they can be moved");
}
