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
		return r->has_shares || r->has_period || (r->has_quota && (update || r->quota > 0));
	case FB_CONTROLLER_CPUSET:
		return r->cpuset_cpus || r->cpuset_mems;
	case FB_CONTROLLER_MEMORY:
		return (r->has_memory_limit && (update || r->memory_limit > 0)) ||
		       (r->has_memory_swap && (update || r->memory_swap > 0)) ||
		       (r->has_memory_reservation && (update || r->memory_reservation > 0)) ||
		       r->has_swappiness || r->oom_kill_disable;
	case FB_CONTROLLER_DEVICES:
		return r->device_count > 0 && !update;
	case FB_CONTROLLER_PIDS:
		return r->has_pids && (update || r->pids > 0);
	case FB_CONTROLLER_BLKIO:
		return r->has_blkio_weight;
	default:
		return false;
	}
}

/* --- devices --- */

static bool overlap(int64_t a, int64_t b)
{
	return a < 0 || b < 0 || a == b;
}

static bool is_everything(const struct fb_device_rule *rule)
{
	return rule->type == 'a' && rule->major < 0 && rule->minor < 0 &&
	       rule->access == (FB_ACCESS_READ | FB_ACCESS_WRITE | FB_ACCESS_MKNOD);
}

/* The kernel keeps a list of exceptions, and a later opposite rule only removes an *equal*
 * exception: a hole in an allowed range would be accepted and have no effect. So it is refused. */
static bool makes_hole(const struct fb_device_rule *rules, size_t index)
{
	const struct fb_device_rule *rule = &rules[index];

	for (size_t i = index; i-- > 0 && !is_everything(&rules[i]);) {
		const struct fb_device_rule *other = &rules[i];

		if (other->allow != rule->allow &&
		    (other->type == 'a' || rule->type == 'a' || other->type == rule->type) &&
		    overlap(other->major, rule->major) && overlap(other->minor, rule->minor) &&
		    other->access & rule->access &&
		    (other->type != rule->type || other->major != rule->major ||
		     other->minor != rule->minor))
			return true;
	}
	return false;
}

static int write_device(const char *directory, char type, const struct fb_device_rule *rule,
			struct fb_error *err)
{
	char text[64], major[24] = "*", minor[24] = "*";

	if (rule->major >= 0)
		snprintf(major, sizeof(major), "%" PRId64, rule->major);
	if (rule->minor >= 0)
		snprintf(minor, sizeof(minor), "%" PRId64, rule->minor);
	snprintf(text, sizeof(text), "%c %s:%s %s%s%s", type, major, minor,
		 rule->access & FB_ACCESS_READ ? "r" : "",
		 rule->access & FB_ACCESS_WRITE ? "w" : "",
		 rule->access & FB_ACCESS_MKNOD ? "m" : "");
	return fb_cgroup_write(directory, rule->allow ? "devices.allow" : "devices.deny", text,
			       err);
}

static int set_devices(const char *directory, const struct fb_device_rule *rules, size_t count,
		       struct fb_error *err)
{
	int r = 0;

	/* A new group has its parent's list. Start from nothing, as the v2 program does, whatever
	 * that is. */
	if (!is_everything(&rules[0]))
		r = fb_cgroup_write(directory, "devices.deny", "a", err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct fb_device_rule *rule = &rules[i];

		if (is_everything(rule)) {
			r = fb_cgroup_write(
			    directory, rule->allow ? "devices.allow" : "devices.deny", "a", err);
			continue;
		}
		if (!rule->access)
			continue;
		if (makes_hole(rules, i))
			return fail(
			    err, EINVAL, "devices", directory,
			    "cgroup v1 can't except a part of what an earlier device rule covers");
		/* The kernel takes "a" for everything and does not read on, so a narrower rule for
		 * both types is two rules. */
		if (rule->type == 'a') {
			r = write_device(directory, 'b', rule, err);
			r = r < 0 ? r : write_device(directory, 'c', rule, err);
		} else {
			r = write_device(directory, rule->type, rule, err);
		}
	}
	return r;
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
	if (fb_cgroup_read(directory, "memory.memsw.limit_in_bytes", text, sizeof(text)) < 0)
		return false;
	return r->memory_swap < 0 || strtoull(text, NULL, 10) < (uint64_t)r->memory_swap;
}

static int set_memory(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool swap_first = swap_goes_first(directory, r);
	int result = swap_first ? set_swap(directory, r, err) : 0;

	if (result == 0 && r->has_memory_limit && r->memory_limit != 0)
		result = fb_cgroup_write_number(directory, "memory.limit_in_bytes", r->memory_limit,
						err);
	if (result == 0 && !swap_first)
		result = set_swap(directory, r, err);
	if (result == 0 && r->has_memory_reservation)
		result = fb_cgroup_write_number(directory, "memory.soft_limit_in_bytes",
						r->memory_reservation, err);
	if (result == 0 && r->has_swappiness)
		result = fb_cgroup_write_number(directory, "memory.swappiness",
						(int64_t)r->swappiness, err);
	if (result == 0 && r->oom_kill_disable)
		result = fb_cgroup_write(directory, "memory.oom_control", "1", err);
	return result;
}

/* --- the others --- */

static int set_cpu(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool quota_done = false;
	int result = 0;

	if (r->has_shares && r->shares)
		result = fb_cgroup_write_number(directory, "cpu.shares", (int64_t)r->shares, err);
	if (result == 0 && r->has_period && r->period) {
		result =
		    fb_cgroup_write_number(directory, "cpu.cfs_period_us", (int64_t)r->period, err);
		/* The old quota over the new period may be above what the parent has; then the new
		 * quota must come first. */
		if (result == -EINVAL && r->has_quota) {
			result =
			    fb_cgroup_write_number(directory, "cpu.cfs_quota_us", r->quota, err);
			quota_done = true;
			if (result == 0)
				result = fb_cgroup_write_number(directory, "cpu.cfs_period_us",
								(int64_t)r->period, err);
		}
	}
	if (result == 0 && r->has_quota && !quota_done)
		result = fb_cgroup_write_number(directory, "cpu.cfs_quota_us",
						r->quota > 0 ? r->quota : -1, err);
	return result;
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

static int set_blkio(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	/* The first is CFQ's, before kernel 5.0; the second exists while a disk uses BFQ. */
	int result = fb_cgroup_write_number(directory, "blkio.weight", r->blkio_weight, err);

	if (result == -ENOENT)
		result =
		    fb_cgroup_write_number(directory, "blkio.bfq.weight", r->blkio_weight, err);
	if (result == -ENOENT)
		return fail(err, ENOTSUP, "blkio", directory,
			    "no IO scheduler of this kernel knows weights");
	return result;
}

static int set_limits(enum fb_controller controller, const char *directory,
		      const struct fb_resources *r, struct fb_error *err)
{
	switch (controller) {
	case FB_CONTROLLER_CPU:
		return set_cpu(directory, r, err);
	case FB_CONTROLLER_CPUSET:
		return set_cpuset(directory, r, err);
	case FB_CONTROLLER_MEMORY:
		return set_memory(directory, r, err);
	case FB_CONTROLLER_DEVICES:
		return set_devices(directory, r->devices, r->device_count, err);
	case FB_CONTROLLER_PIDS:
		return set_pids(directory, r, err);
	case FB_CONTROLLER_BLKIO:
		return set_blkio(directory, r, err);
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

static int make_group(const struct fb_cgroup_mounts *mounts, enum fb_controller controller,
		      const char *path, struct fb_cgroup *group, struct fb_error *err)
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

int fb_cgroup_v1_create(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *group,
			struct fb_error *err)
{
	int r = 0;

	if (resources->unified.count)
		return fail(err, ENOTSUP, "cgroup", resources->unified.items[0],
			    "\"unified\" needs a host with cgroup v2 only");
	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && r == 0; i++) {
		const struct fb_cgroup_mount *mount = &mounts->of[i];

		if (!is_needed(i, resources, false))
			continue;
		if (!directory_of(mount, group))
			r = make_group(mounts, i, path, group, err);
		if (r == 0)
			r = set_limits(i, directory_of(mount, group), resources, err);
		if (r == 0 && i == FB_CONTROLLER_MEMORY)
			strcpy(group->memory, directory_of(mount, group));
	}
	return r;
}

int fb_cgroup_v1_update(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group,
			const struct fb_resources *resources, struct fb_error *err)
{
	int r = 0;

	for (int i = 0; i < FB_CONTROLLER_V1_COUNT && r == 0; i++) {
		const char *directory = directory_of(&mounts->of[i], group);

		if (!is_needed(i, resources, true))
			continue;
		if (!directory)
			return fail(err, ENOTSUP, "cgroup", fb_controller_name(i),
				    "the container was started without this controller, so it has "
				    "no group to limit");
		r = set_limits(i, directory, resources, err);
	}
	return r;
}
