/* v1: a group in one more hierarchy for a container that runs, since a start pays for every hierarchy that it touches and so touches only
 * what a limit needs; v2: one more controller. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

/* Move what is not there yet; whether any of it is there now. What is about to end is listed to its last moment and can't be moved, whatever
 * the write says. */
static int move_processes(const struct fb_cgroup *group, const char *joined, struct fb_error *err)
{
	fb_auto_free pid_t *all = NULL, *there = NULL, *now = NULL;
	size_t count = 0, missing = 0;
	int r = fb_cgroup_processes(group, &all, &count, err);
	ssize_t known;

	if (r < 0)
		return r;
	known = fb_cgroup_list(joined, &there);
	for (size_t i = 0; known >= 0 && i < count; i++) {
		if (is_among(all[i], there, (size_t)known))
			continue;
		all[missing++] = all[i];
		r = fb_cgroup_write_number(joined, "cgroup.procs", all[i], err);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	if (missing && known >= 0)
		known = fb_cgroup_list(joined, &now);
	if (known < 0)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, (int)-known, "read", joined, NULL);
	for (size_t i = 0; i < missing; i++)
		if (is_among(all[i], now, (size_t)known))
			return 1;
	return 0;
}

static int move_all(const struct fb_cgroup *group, const char *joined, struct fb_error *err)
{
	/* Two in a row that bring nothing: what the first found ending may have forked just before. */
	for (int i = 0, idle = 0; i < PASSES; i++) {
		int r = move_processes(group, joined, err);

		idle = r ? 0 : idle + 1;
		if (r < 0 || idle == 2)
			return r;
	}
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, EAGAIN, "write", joined,
			    "processes appear faster than they can be moved");
}

int fb_cgroup_v1_join(const struct fb_cgroup_mounts *mounts, struct fb_cgroup *group, enum fb_controller controller,
		      struct fb_error *err)
{
	const char *path = fb_cgroup_common_path(mounts, group), *joined;
	int r;

	if (!path || group->path_count == FB_CGROUP_MAX)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOTSUP, "cgroup", fb_controller_name(controller),
				    "the container has no group of its own");
	r = fb_cgroup_v1_make(mounts, controller, path, group, err);
	if (r < 0)
		return r;
	joined = group->paths[group->path_count - 1];
	if (controller == FB_CONTROLLER_MEMORY)
		strcpy(group->memory, joined);
	return move_all(group, joined, err);
}

int fb_cgroup_join_freezer(struct fb_cgroup *group, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	int r;

	if (fb_cgroup_directory(group, "freezer.state") || fb_cgroup_directory(group, "cgroup.freeze"))
		return 0;
	r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);
	if (r < 0)
		return r;
	if (!mounts.of[FB_CONTROLLER_FREEZER].at[0])
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOTSUP, "cgroup", NULL,
				    "the container has no group that can be frozen");
	return fb_cgroup_v1_join(&mounts, group, FB_CONTROLLER_FREEZER, err);
}

/* --- limits of one that runs --- */

/* Every file that an update may write. */
static const char *const files[] = {
	"memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares",
	"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.rt_period_us", "cpu.rt_runtime_us", "cpuset.cpus", "cpuset.mems",
	"pids.max", "blkio.weight", "blkio.bfq.weight",
	"memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "io.weight", "io.bfq.weight",
};
#define FILES (sizeof(files) / sizeof(*files))
#define VALUE_MAX 256

struct former {
	const char *directory; /* NULL: there is no such file */
	char value[VALUE_MAX];
};

static void remember(const struct fb_cgroup *group, struct former *former)
{
	for (size_t i = 0; i < FILES; i++) {
		former[i].directory = fb_cgroup_directory(group, files[i]);
		if (!former[i].directory)
			continue;
		if (fb_cgroup_read(former[i].directory, files[i], former[i].value, VALUE_MAX) < 0)
			former[i].directory = NULL;
		/* Of the weights the default comes first, and that is all that is ours. */
		former[i].value[strcspn(former[i].value, "\n")] = '\0';
	}
}

/* Twice, since one value may be legal only beside another: what the first round could not write, the second can. */
static void restore(const struct former *former)
{
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < FILES; i++)
			if (former[i].directory && former[i].value[0])
				fb_cgroup_write(former[i].directory, files[i], former[i].value, NULL);
}

static int join_needed(struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err)
{
	struct fb_cgroup_mounts mounts;
	int r = fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, err);

	if (r < 0)
		return r;
	return group->mode == FB_CGROUP_V2 ? fb_cgroup_v2_enable(&mounts, group->paths[0], resources, err) :
					     fb_cgroup_v1_join_needed(&mounts, group, resources, err);
}

int fb_cgroup_change(struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err)
{
	fb_auto_free struct former *former = calloc(FILES, sizeof(*former));
	int r;

	if (!former)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOMEM, "malloc", NULL, NULL);
	if (group->path_count == 0)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOENT, "cgroup", NULL, "the container has no group of its own");
	r = join_needed(group, resources, err);
	if (r < 0)
		return r;
	remember(group, former);
	r = fb_cgroup_update(group, resources, err);
	if (r < 0)
		restore(former);
	return r;
}
