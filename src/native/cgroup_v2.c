/* Cgroup v2: one directory, and the controllers that its limits need enabled on the way to it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_device.h"
#include "cgroup_internal.h"
#include "cleanup.h"

#define CONTROLLERS_MAX 16

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* --- controllers --- */

struct wanted { /* NULL-terminated names: each a controller's, ended by '\0' or '.' */
	const char *names[CONTROLLERS_MAX + 1];
	size_t count;
	bool every; /* also all that can be had, for those who read there later */
};

static void want(struct wanted *wanted, const char *name)
{
	size_t length = strcspn(name, ".");

	for (size_t i = 0; i < wanted->count; i++)
		if (strcspn(wanted->names[i], ".") == length &&
		    strncmp(wanted->names[i], name, length) == 0)
			return;
	if (wanted->count < CONTROLLERS_MAX)
		wanted->names[wanted->count++] = name;
}

/* A key is one file of a controller in the group itself. The core's own files (cgroup.procs above
 * all) are no limits. */
static int check_unified(const char *key, struct fb_error *err)
{
	if (!key[0] || key[0] == '.' || strchr(key, '/') || !strchr(key, '.'))
		return fail(err, EINVAL, "cgroup", key,
			    "a key of \"unified\" is a file name like memory.high");
	if (strncmp(key, "cgroup.", 7) == 0 && strncmp(key, "cgroup.max.", 11))
		return fail(err, EINVAL, "cgroup", key, "this file of the group is not a limit");
	return 0;
}

static int collect(const struct fb_resources *r, struct wanted *wanted, struct fb_error *err)
{
	if ((r->has_memory_limit && r->memory_limit) || (r->has_memory_swap && r->memory_swap) ||
	    (r->has_memory_reservation && r->memory_reservation))
		want(wanted, "memory");
	if ((r->has_shares && r->shares) || (r->has_quota && r->quota) || (r->has_period && r->period) ||
	    (r->has_burst && r->burst) || (r->has_cpu_idle && r->cpu_idle))
		want(wanted, "cpu");
	if (r->cpuset_cpus || r->cpuset_mems)
		want(wanted, "cpuset");
	if (r->has_pids && r->pids > 0)
		want(wanted, "pids");
	if (r->has_blkio_weight || r->has_blkio_leaf_weight || r->blkio_device_count)
		want(wanted, "io");
	if (r->hugepage_count)
		want(wanted, "hugetlb");
	if (r->rdma_count)
		want(wanted, "rdma");
	for (size_t i = 0; i + 1 < r->unified.count; i += 2) {
		if (check_unified(r->unified.items[i], err) < 0)
			return -EINVAL;
		if (strncmp(r->unified.items[i], "cgroup.", 7))
			want(wanted, r->unified.items[i]);
	}
	return 0;
}

static bool is_enabled(const char *list, const char *name, size_t length)
{
	for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == length && strncmp(at, name, length) == 0)
			return true;
	return false;
}

static void enable_every(const char *directory, const char *on)
{
	char there[512] = "", text[96];

	fb_cgroup_read(directory, "cgroup.controllers", there, sizeof(there));
	for (const char *at = there; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");

		if (is_enabled(on, at, length) || length > sizeof(text) - 2)
			continue;
		snprintf(text, sizeof(text), "+%.*s", (int)length, at);
		fb_cgroup_write(directory, "cgroup.subtree_control", text, NULL);
	}
}

/* Let the children of `directory` have the controllers; the leaf has none. What is on already is
 * not written again: so it works in a part that was delegated to us, too. */
static int enable(const char *directory, bool leaf, const void *context, struct fb_error *err)
{
	const struct wanted *wanted = context;
	struct fb_error ours = {0};
	char on[512] = "", text[96];

	if (leaf || (wanted->count == 0 && !wanted->every))
		return 0;
	fb_cgroup_read(directory, "cgroup.subtree_control", on, sizeof(on));
	if (wanted->every) {
		enable_every(directory, on);
		fb_cgroup_read(directory, "cgroup.subtree_control", on, sizeof(on));
	}
	for (size_t i = 0; i < wanted->count; i++) {
		int length = (int)strcspn(wanted->names[i], "."), r;

		if (is_enabled(on, wanted->names[i], (size_t)length))
			continue;
		snprintf(text, sizeof(text), "+%.*s", length, wanted->names[i]);
		r = fb_cgroup_write(directory, "cgroup.subtree_control", text, &ours);
		/* EOPNOTSUPP: the group above has processes and gave a controller that allows it. */
		if (r == -EBUSY || r == -EOPNOTSUPP)
			return fail(err, EBUSY, "write", ours.path,
				    "processes are in this group or the one above: move them to a "
				    "child group");
		snprintf(text, sizeof(text), "the cgroup controller %.*s is not available here",
			 length, wanted->names[i]);
		if (r == -ENOENT || r == -EINVAL)
			return fail(err, ENOTSUP, "write", directory, text);
		if (r < 0)
			return fail(err, -r, ours.call, ours.path, NULL);
	}
	return 0;
}

int fb_cgroup_v2_enable(const struct fb_cgroup_mounts *mounts, const char *directory,
			const struct fb_resources *resources, struct fb_error *err)
{
	size_t top = strlen(mounts->of[FB_UNIFIED].at);
	struct wanted wanted = {0};
	char path[256];
	int r = collect(resources, &wanted, err);

	snprintf(path, sizeof(path), "%s", directory);
	/* From the mount point down to the group above this one. */
	for (size_t at = top; r == 0 && path[at]; at += 1 + strcspn(path + at + 1, "/")) {
		char slash = path[at];

		path[at] = '\0';
		r = enable(path, false, &wanted, err);
		path[at] = slash;
	}
	return r;
}

/* --- limits --- */

static int write_or_max(const char *directory, const char *file, int64_t value,
			struct fb_error *err)
{
	return value < 0 ? fb_cgroup_write(directory, file, "max", err)
			 : fb_cgroup_write_number(directory, file, value, err);
}

static int set_swap(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	struct fb_error ours = {0};
	int64_t swap = r->memory_swap, memory = r->memory_limit;
	char now[32] = "";
	int result;

	if (!r->has_memory_swap || r->memory_swap == 0)
		return 0;
	/* OCI's number is memory plus swap, v2's is swap alone. */
	if (swap > 0 && memory <= 0) {
		fb_cgroup_read(directory, "memory.max", now, sizeof(now));
		memory = strtoll(now, NULL, 10);
		if (memory <= 0 || memory > swap)
			return fail(err, EINVAL, "memory", directory,
				    "memory plus swap must not be below the memory limit, and there must be one");
	}
	if (swap > 0)
		swap -= memory;
	result = write_or_max(directory, "memory.swap.max", swap, &ours);
	if (result == -ENOENT && fb_cgroup_swap_may_be_ignored(r))
		return 0;
	if (result == -ENOENT)
		return fail(err, ENOTSUP, "open", ours.path,
			    "the kernel does not account swap, so it can't be limited");
	if (result < 0 && err)
		*err = ours;
	return result;
}

static int set_memory(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	int result = 0;

	/* A group's swappiness, its out-of-memory killer's switch and kernel memory by itself are no more: no other runtime minds them either. */
	if (r->has_memory_limit && r->memory_limit != 0)
		result = write_or_max(directory, "memory.max", r->memory_limit, err);
	if (result == 0)
		result = set_swap(directory, r, err);
	if (result == 0 && r->has_memory_reservation && r->memory_reservation)
		result = write_or_max(directory, "memory.low", r->memory_reservation, err);
	return result;
}

/* runc's map (since 1.3.2) of 2..262144 to 1..10000 that keeps the default: 1024 is 100. The older
 * linear one made it 39. */
uint64_t fb_cgroup_weight_of_shares(uint64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l - 126) / 612));
}

/* An idle group has no weight to set, and one that stops being idle has to do so first. */
static int set_weight(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool idle = r->has_cpu_idle && r->cpu_idle;
	int result = 0;

	if (idle || (r->has_cpu_idle && fb_cgroup_has(directory, "cpu.idle")))
		result = fb_cgroup_write_if_known(directory, "cpu.idle", idle ? "1" : "0",
						  "the idle policy of groups is in Linux 5.15 and later", err);
	if (result == 0 && r->has_shares && r->shares && !idle)
		result = fb_cgroup_write_number(directory, "cpu.weight",
						(int64_t)fb_cgroup_weight_of_shares(r->shares), err);
	return result;
}

static int set_burst(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	char text[24];

	if (!r->burst && !fb_cgroup_has(directory, "cpu.max.burst"))
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64, r->burst);
	return fb_cgroup_write_if_known(directory, "cpu.max.burst", text, "bursts are in Linux 5.14 and later", err);
}

static int set_cpu(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	bool has_quota = r->has_quota && r->quota, burst = r->has_burst;
	char now[64] = "", text[96], quota[24];
	int result = set_weight(directory, r, err);

	if ((r->has_rt_runtime && r->rt_runtime) || (r->has_rt_period && r->rt_period))
		return fail(err, ENOTSUP, "cpu", NULL, "cgroup v2 has no realtime limits");
	/* A burst may not be above the quota of the moment: the smaller of two is set before, the larger one after. */
	if (result == 0 && burst && set_burst(directory, r, NULL) == 0)
		burst = false;
	if (result < 0 || (!has_quota && !(r->has_period && r->period)))
		return result < 0 || !burst ? result : set_burst(directory, r, err);
	/* "QUOTA PERIOD": a half that was not asked for stays as it is. Without the second number
	 * the kernel keeps the period. */
	fb_cgroup_read(directory, "cpu.max", now, sizeof(now));
	now[strcspn(now, " ")] = '\0';
	snprintf(quota, sizeof(quota), "%" PRId64, r->quota);
	snprintf(text, sizeof(text), "%s",
		 !has_quota	? (now[0] ? now : "max")
		 : r->quota > 0 ? quota
				: "max");
	if (r->has_period && r->period)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %" PRIu64, r->period);
	result = fb_cgroup_write(directory, "cpu.max", text, err);
	return result == 0 && burst ? set_burst(directory, r, err) : result;
}

static int set_pids(const char *directory, int64_t pids, struct fb_error *err)
{
	struct fb_error ours = {0};
	int result = write_or_max(directory, "pids.max", pids > 0 ? pids : -1, &ours);

	if (result == -ENOENT && pids <= 0) /* nobody counts here, so nothing limits */
		return 0;
	if (result < 0 && err)
		*err = ours;
	return result;
}

static int set_limits(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	int result = set_memory(directory, r, err);

	if (result == 0)
		result = set_cpu(directory, r, err);
	if (result == 0 && r->cpuset_cpus)
		result = fb_cgroup_write(directory, "cpuset.cpus", r->cpuset_cpus, err);
	if (result == 0 && r->cpuset_mems)
		result = fb_cgroup_write(directory, "cpuset.mems", r->cpuset_mems, err);
	if (result == 0 && r->has_pids && r->pids)
		result = set_pids(directory, r->pids, err);
	if (result == 0)
		result = fb_cgroup_set_blkio(directory, true, r, err);
	if (result == 0)
		result = fb_cgroup_set_hugepages(directory, true, r, err);
	if (result == 0)
		result = fb_cgroup_set_rdma(directory, r, err);
	if (result == 0 && ((r->has_class_id && r->class_id) || r->net_priority_count))
		return fail(err, ENOTSUP, "network", NULL, "cgroup v2 has no classes and priorities of network traffic");
	for (size_t i = 0; result == 0 && i + 1 < r->unified.count; i += 2) {
		result = check_unified(r->unified.items[i], err);
		if (result == 0)
			result = fb_cgroup_write(directory, r->unified.items[i],
						 r->unified.items[i + 1], err);
	}
	return result;
}

/* v1's kernel refuses a limit below what is used, v2's enforces it by the out-of-memory killer. */
static int check_usage(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	char text[32];
	int64_t usage;

	if (!r->check_before_update || fb_cgroup_read(directory, "memory.current", text, sizeof(text)) <= 0)
		return 0;
	usage = strtoll(text, NULL, 10);
	if ((r->has_memory_limit && r->memory_limit > 0 && r->memory_limit <= usage) ||
	    (r->has_memory_swap && r->memory_swap > 0 && r->memory_swap <= usage))
		return fail(err, EBUSY, "memory", directory, "more memory than that is in use");
	return 0;
}

int fb_cgroup_v2_update(const char *directory, const struct fb_resources *resources, struct fb_error *err)
{
	fb_auto_close int fd = -1;
	int r = check_usage(directory, resources, err);

	if (r == 0)
		r = set_limits(directory, resources, err);
	if (r < 0 || !resources->device_count)
		return r;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", directory);
	return fb_bpf_device_attach(fd, resources->devices, resources->device_count, true, err);
}

int fb_cgroup_v2_create(const struct fb_cgroup_mounts *mounts, const char *path, const struct fb_resources *resources,
			struct fb_cgroup *group, struct fb_error *err)
{
	bool every = mounts->flags & FB_CGROUP_EVERY;
	struct wanted wanted = {.every = every && mounts->mode == FB_CGROUP_V2};
	const char *directory;
	int r = collect(resources, &wanted, err);

	if (r == 0)
		r = fb_cgroup_make(mounts, FB_UNIFIED, path, enable, &wanted, group, err);
	if (r < 0)
		return r;
	directory = group->paths[group->path_count - 1];
	if (mounts->mode == FB_CGROUP_V2)
		strcpy(group->memory, directory);
	r = set_limits(directory, resources, err);
	if (r < 0)
		return r;
	group->into = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group->into < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", directory);
	/* One that existed may have a program of its own. */
	return resources->device_count ? fb_bpf_device_attach(group->into, resources->devices, resources->device_count,
							      every, err) :
					 0;
}
