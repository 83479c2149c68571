/* Cgroup v1 and hybrid: one directory in every hierarchy that a limit needs, and in no other. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_internal.h"

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* Whether `resources` say anything about a controller that a new group does not have by itself (an
 * update may also lift limits). */
static bool is_needed(enum fb_controller controller, const struct fb_resources *r, bool update)
{
	switch (controller) {
	case FB_CONTROLLER_CPU:
		return (r->has_shares && r->shares) || (r->has_period && r->period) ||
		       (r->has_quota && (update ? r->quota : r->quota > 0)) || (r->has_burst && (update || r->burst)) ||
		       (r->has_cpu_idle && (update || r->cpu_idle)) || (r->has_rt_runtime && r->rt_runtime) ||
		       (r->has_rt_period && r->rt_period);
	case FB_CONTROLLER_CPUSET:
		return r->cpuset_cpus || r->cpuset_mems;
	case FB_CONTROLLER_MEMORY:
		return (r->has_memory_limit && (update ? r->memory_limit : r->memory_limit > 0)) ||
		       (r->has_memory_swap && (update ? r->memory_swap : r->memory_swap > 0)) ||
		       (r->has_memory_reservation && (update ? r->memory_reservation : r->memory_reservation > 0)) ||
		       r->has_swappiness || r->oom_kill_disable;
	case FB_CONTROLLER_DEVICES:
		return r->device_count > 0;
	case FB_CONTROLLER_PIDS:
		return r->has_pids && (update ? r->pids : r->pids > 0);
	case FB_CONTROLLER_BLKIO:
		return r->has_blkio_weight || r->has_blkio_leaf_weight || r->blkio_device_count;
	case FB_CONTROLLER_HUGETLB:
		return r->hugepage_count;
	case FB_CONTROLLER_NET_CLS:
		return r->has_class_id && r->class_id;
	case FB_CONTROLLER_NET_PRIO:
		return r->net_priority_count;
	case FB_CONTROLLER_RDMA:
		return r->rdma_count;
	default:
		return false;
	}
}

/* --- memory --- */

static int set_swap(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	struct fb_error ours = {0};
	int result;

	if (!r->has_memory_swap || r->memory_swap == 0)
		return 0;
	result =
	    fb_cgroup_write_number(directory, "memory.memsw.limit_in_bytes", r->memory_swap, &ours);
	if (result == -ENOENT && fb_cgroup_swap_may_be_ignored(r))
		return 0;
	if (result == -ENOENT)
		return fail(err, ENOTSUP, "open", ours.path,
			    "the kernel does not account swap, so it can't be limited");
	if (result < 0 && err)
		*err = ours;
	return result;
}

/* The kernel demands memory <= memory+swap at every moment: raise the sum first, lower it last. */
static bool swap_goes_first(const char *directory, const struct fb_resources *r)
{
	char text[32];

	if (!r->has_memory_swap || r->memory_swap == 0)
		return false;
	if (r->memory_swap > 0 && !(r->has_memory_limit && r->memory_limit))
		return true;
	if (fb_cgroup_read(directory, "memory.memsw.limit_in_bytes", text, sizeof(text)) < 0)
		return false;
	return r->memory_swap < 0 || strtoull(text, NULL, 10) < (uint64_t)r->memory_swap;
}

static int set_memory(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool swap_first = swap_goes_first(directory, r);
	int result = swap_first ? set_swap(directory, r, err) : 0;

	/* No limit of memory is above any limit of memory plus swap: without a word about that, it goes too. */
	if (r->has_memory_limit && r->memory_limit < 0 && !(r->has_memory_swap && r->memory_swap))
		fb_cgroup_write(directory, "memory.memsw.limit_in_bytes", "-1", NULL);
	if (result == 0 && r->has_memory_limit && r->memory_limit != 0)
		result = fb_cgroup_write_number(directory, "memory.limit_in_bytes", r->memory_limit,
						err);
	if (result == -EBUSY)
		return fail(err, EBUSY, "write", directory, "more memory than that is in use");
	if (result == 0 && !swap_first)
		result = set_swap(directory, r, err);
	if (result == 0 && r->has_memory_reservation && r->memory_reservation)
		result = fb_cgroup_write_number(directory, "memory.soft_limit_in_bytes",
						r->memory_reservation, err);
	if (result == 0 && r->has_swappiness)
		result = fb_cgroup_write_number(directory, "memory.swappiness",
						(int64_t)r->swappiness, err);
	/* The limit of all kernel memory is no more since 5.16, and was of no use before: no other runtime sets it either. */
	if (result == 0 && r->has_kernel_tcp_memory && r->kernel_tcp_memory)
		result = fb_cgroup_write_number(directory, "memory.kmem.tcp.limit_in_bytes", r->kernel_tcp_memory, err);
	if (result == 0 && r->oom_kill_disable)
		result = fb_cgroup_write(directory, "memory.oom_control", "1", err);
	return result;
}

/* --- the others --- */

static int write_one_of_two(const char *directory, const char *file, int64_t value, bool retried, bool *ret_again,
			    struct fb_error *err)
{
	struct fb_error ours = {0};
	int result = fb_cgroup_write_number(directory, file, value, &ours);

	*ret_again = result == -EINVAL && retried;
	if (result < 0 && !*ret_again && err)
		*err = ours;
	return *ret_again ? 0 : result;
}

/* The kernel checks each number against the others as they are at that moment: the new period with the old quota may be above what the parent
 * has, and a burst above the old quota. Then the quota comes first. */
static int set_quota(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool quota = r->has_quota && r->quota, period = r->has_period && r->period, burst = r->has_burst;
	int result = 0;

	/* None is what a kernel before 5.14 gives anyway. */
	if (burst && !r->burst)
		burst = fb_cgroup_has(directory, "cpu.cfs_burst_us");
	if (period)
		result = write_one_of_two(directory, "cpu.cfs_period_us", (int64_t)r->period, quota, &period, err);
	if (result == 0 && burst)
		result = write_one_of_two(directory, "cpu.cfs_burst_us", (int64_t)r->burst, quota, &burst, err);
	if (result == 0 && quota)
		result = fb_cgroup_write_number(directory, "cpu.cfs_quota_us", r->quota > 0 ? r->quota : -1, err);
	if (result == 0 && period)
		result = fb_cgroup_write_number(directory, "cpu.cfs_period_us", (int64_t)r->period, err);
	if (result == 0 && burst)
		result = fb_cgroup_write_number(directory, "cpu.cfs_burst_us", (int64_t)r->burst, err);
	return result;
}

static int set_realtime(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool period = r->has_rt_period && r->rt_period, runtime = r->has_rt_runtime && r->rt_runtime;
	int result = 0;

	if (period)
		result = write_one_of_two(directory, "cpu.rt_period_us", (int64_t)r->rt_period, runtime, &period, err);
	if (result == 0 && runtime)
		result = fb_cgroup_write_number(directory, "cpu.rt_runtime_us", r->rt_runtime, err);
	if (result == 0 && period)
		result = fb_cgroup_write_number(directory, "cpu.rt_period_us", (int64_t)r->rt_period, err);
	if (result == -ENOENT)
		return fail(err, ENOTSUP, "open", directory, "this kernel has no realtime limits of groups");
	if (result == -EINVAL)
		return fail(err, EINVAL, "write", directory, "is more realtime than the group above has");
	return result;
}

static int set_cpu(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool idle = r->has_cpu_idle && r->cpu_idle;
	int result = 0;

	/* An idle group has no shares to set, and one that stops being idle has to do so first. */
	if (idle || (r->has_cpu_idle && fb_cgroup_has(directory, "cpu.idle")))
		result = fb_cgroup_write_if_known(directory, "cpu.idle", idle ? "1" : "0",
						  "the idle policy of groups is in Linux 5.15 and later", err);
	if (result == 0 && r->has_shares && r->shares && !idle)
		result = fb_cgroup_write_number(directory, "cpu.shares", (int64_t)r->shares, err);
	if (result == 0)
		result = set_quota(directory, r, err);
	return result < 0 ? result : set_realtime(directory, r, err);
}

static int set_cpuset(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	int result = 0;

	if (r->cpuset_cpus)
		result = fb_cgroup_write(directory, "cpuset.cpus", r->cpuset_cpus, err);
	if (result == 0 && r->cpuset_mems)
		result = fb_cgroup_write(directory, "cpuset.mems", r->cpuset_mems, err);
	return result;
}

static int set_pids(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	if (r->pids <= 0)
		return fb_cgroup_write(directory, "pids.max", "max", err);
	return fb_cgroup_write_number(directory, "pids.max", r->pids, err);
}

static int set_limits(enum fb_controller controller, const char *directory, const struct fb_resources *r, bool live,
		      struct fb_error *err)
{
	switch (controller) {
	case FB_CONTROLLER_CPU:
		return set_cpu(directory, r, err);
	case FB_CONTROLLER_CPUSET:
		return set_cpuset(directory, r, err);
	case FB_CONTROLLER_MEMORY:
		return set_memory(directory, r, err);
	case FB_CONTROLLER_DEVICES:
		return fb_cgroup_v1_devices(directory, r->devices, r->device_count, live, err);
	case FB_CONTROLLER_PIDS:
		return set_pids(directory, r, err);
	case FB_CONTROLLER_BLKIO:
		return fb_cgroup_set_blkio(directory, false, r, err);
	case FB_CONTROLLER_HUGETLB:
		return fb_cgroup_set_hugepages(directory, false, r, err);
	case FB_CONTROLLER_NET_CLS:
		return fb_cgroup_set_class(directory, r, err);
	case FB_CONTROLLER_NET_PRIO:
		return fb_cgroup_set_priorities(directory, r, err);
	case FB_CONTROLLER_RDMA:
		return fb_cgroup_set_rdma(directory, r, err);
	default:
		return fail(err, EINVAL, "cgroup", directory, NULL);
	}
}

/* --- making and changing --- */

static int inherit_file(const char *parent, const char *directory, const char *file,
			struct fb_error *err)
{
	char text[4097]; /* a cgroup file is at most a page */
	ssize_t got = fb_cgroup_read(directory, file, text, sizeof(text));

	if (got == 0)
		got = fb_cgroup_read(parent, file, text, sizeof(text));
	else if (got > 0)
		return 0;
	if (got < 0)
		return fail(err, (int)-got, "read", directory, NULL);
	return fb_cgroup_write(directory, file, text, err);
}

/* A new cpuset is empty, and nobody can enter it before it has cpus and memory nodes of its own, at
 * every level. */
static int inherit_cpuset(const char *directory, bool leaf, const void *context,
			  struct fb_error *err)
{
	char parent[256];
	int r;

	(void)leaf;
	if (strcmp(directory, context) == 0)
		return 0;
	snprintf(parent, sizeof(parent), "%s", directory);
	*strrchr(parent, '/') = '\0';
	r = inherit_file(parent, directory, "cpuset.cpus", err);
	return r < 0 ? r : inherit_file(parent, directory, "cpuset.mems", err);
}

/* The directory that an earlier controller of the same hierarchy (cpu,cpuacct,...) has made, or
 * NULL. */
static const char *directory_of(const struct fb_cgroup_mount *mount, const struct fb_cgroup *group)
{
	size_t length = strlen(mount->at);

	for (int i = 0; i < group->path_count; i++)
		if (length && strncmp(group->paths[i], mount->at, length) == 0 &&
		    group->paths[i][length] == '/')
			return group->paths[i];
	return NULL;
}

int fb_cgroup_v1_make(const struct fb_cgroup_mounts *mounts, enum fb_controller controller, const char *path,
		      struct fb_cgroup *group, struct fb_error *err)
{
	const struct fb_cgroup_mount *mount = &mounts->of[controller];
	bool cpuset = strcmp(mount->at, mounts->of[FB_CONTROLLER_CPUSET].at) == 0;
	char procs[512];
	int r, fd;

	if (!mount->at[0])
		return fail(err, ENOTSUP, "cgroup", fb_controller_name(controller),
			    "this cgroup controller is not mounted on the host");
	r = fb_cgroup_make(mounts, controller, path, cpuset ? inherit_cpuset : NULL, mount->at,
			   group, err);
	if (r < 0)
		return r;
	group->controllers[group->path_count - 1] = fb_controller_name(controller);
	/* For a process of one thread the same as cgroup.procs, which first waits for a grace period of the whole machine
	 * (5 to 14 ms after any pause; 40 us this way). */
	snprintf(procs, sizeof(procs), "%s/tasks", group->paths[group->path_count - 1]);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", procs);
	group->procs[group->procs_count++] = fd;
	return 0;
}

/* What a hybrid machine has on v2 only. */
static struct fb_resources rest_for_v2(const struct fb_cgroup_mounts *mounts, const struct fb_resources *resources)
{
	struct fb_resources rest = {0};

	if (!mounts->of[FB_CONTROLLER_HUGETLB].at[0]) {
		rest.hugepages = resources->hugepages;
		rest.hugepage_count = resources->hugepage_count;
	}
	if (!mounts->of[FB_CONTROLLER_RDMA].at[0]) {
		rest.rdma = resources->rdma;
		rest.rdma_count = resources->rdma_count;
	}
	return rest;
}

static bool is_on_v2(const struct fb_cgroup_mounts *mounts, enum fb_controller controller)
{
	return !mounts->of[controller].at[0] &&
	       (controller == FB_CONTROLLER_HUGETLB || controller == FB_CONTROLLER_RDMA);
}

/* A hierarchy in which only counting and finding would happen: what may not be written there is done without. */
static int make_optional(const struct fb_cgroup_mounts *mounts, enum fb_controller controller, const char *path,
			 struct fb_cgroup *group, struct fb_error *err)
{
	struct fb_error ours = {0};
	int before = group->path_count, r = fb_cgroup_v1_make(mounts, controller, path, group, &ours);

	if ((r == -EROFS || r == -EACCES || r == -EPERM) && group->path_count == before)
		return 0;
	if (r < 0 && err)
		*err = ours;
	return r;
}

int fb_cgroup_v1_create(const struct fb_cgroup_mounts *mounts, const char *path, const struct fb_resources *resources,
			struct fb_cgroup *group, struct fb_error *err)
{
	bool every = mounts->flags & FB_CGROUP_EVERY, v2 = every && mounts->of[FB_UNIFIED].at[0];
	struct fb_resources rest = rest_for_v2(mounts, resources);
	int r = 0;

	if (resources->unified.count)
		return fail(err, ENOTSUP, "cgroup", resources->unified.items[0],
			    "\"unified\" needs a host with cgroup v2 only");
	/* First, so that the end begins with the one that is killed as a whole. */
	if (v2 && (r = fb_cgroup_v2_create(mounts, path, &rest, group, err)) == 0)
		group->controllers[0] = fb_controller_name(FB_UNIFIED);
	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && r == 0; i++) {
		const struct fb_cgroup_mount *mount = &mounts->of[i];
		bool needed = is_needed(i, resources, false) && !(v2 && is_on_v2(mounts, i));

		if (!directory_of(mount, group) && (needed || (every && mount->at[0])))
			r = needed ? fb_cgroup_v1_make(mounts, i, path, group, err) :
				     make_optional(mounts, i, path, group, err);
		if (r == 0 && needed)
			r = set_limits(i, directory_of(mount, group), resources, false, err);
		if (r == 0 && i == FB_CONTROLLER_MEMORY && directory_of(mount, group))
			strcpy(group->memory, directory_of(mount, group));
	}
	return r;
}

int fb_cgroup_v1_join_needed(const struct fb_cgroup_mounts *mounts, struct fb_cgroup *group,
			     const struct fb_resources *resources, struct fb_error *err)
{
	int r = 0;

	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && r == 0; i++)
		if (is_needed(i, resources, false) && !directory_of(&mounts->of[i], group))
			r = fb_cgroup_v1_join(mounts, group, i, err);
	return r;
}

int fb_cgroup_v1_update(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group,
			const struct fb_resources *resources, struct fb_error *err)
{
	const char *unified = directory_of(&mounts->of[FB_UNIFIED], group);
	struct fb_resources rest = rest_for_v2(mounts, resources);
	int r = 0;

	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && r == 0; i++) {
		const char *directory = directory_of(&mounts->of[i], group);

		if (!is_needed(i, resources, true) || (unified && is_on_v2(mounts, i)))
			continue;
		/* No limit is what it has there. */
		if (!directory && !is_needed(i, resources, false))
			continue;
		if (!directory)
			return fail(err, ENOTSUP, "cgroup", fb_controller_name(i),
				    "the container was started without this controller, so it has "
				    "no group to limit");
		r = set_limits(i, directory, resources, true, err);
	}
	return r == 0 && unified ? fb_cgroup_v2_update(unified, &rest, err) : r;
}
