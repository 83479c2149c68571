/* Cgroup v2: one directory, and the controllers that its limits need enabled on the way to it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bpf_device.h"
#include "cgroup_internal.h"

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
	if (r->has_memory_limit || r->has_memory_swap || r->has_memory_reservation)
		want(wanted, "memory");
	if (r->has_shares || r->has_quota || r->has_period)
		want(wanted, "cpu");
	if (r->cpuset_cpus || r->cpuset_mems)
		want(wanted, "cpuset");
	if (r->has_pids && r->pids > 0)
		want(wanted, "pids");
	if (r->has_blkio_weight)
		want(wanted, "io");
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

/* Let the children of `directory` have the controllers; the leaf has none. What is on already is
 * not written again: so it works in a part that was delegated to us, too. */
static int enable(const char *directory, bool leaf, const void *context, struct fb_error *err)
{
	const struct wanted *wanted = context;
	struct fb_error ours = {0};
	char on[512] = "", text[96];

	if (leaf || wanted->count == 0)
		return 0;
	fb_cgroup_read(directory, "cgroup.subtree_control", on, sizeof(on));
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
	int64_t swap = r->memory_swap;
	int result;

	if (!r->has_memory_swap || r->memory_swap == 0)
		return 0;
	/* OCI's number is memory plus swap, v2's is swap alone. */
	if (swap > 0)
		swap -= r->memory_limit;
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

	if (r->has_swappiness)
		return fail(err, ENOTSUP, "memory", NULL, "cgroup v2 has no swappiness of a group");
	if (r->oom_kill_disable)
		return fail(err, ENOTSUP, "memory", NULL,
			    "cgroup v2 can't disable the out-of-memory killer");
	if (r->has_memory_limit && r->memory_limit != 0)
		result = write_or_max(directory, "memory.max", r->memory_limit, err);
	if (result == 0)
		result = set_swap(directory, r, err);
	if (result == 0 && r->has_memory_reservation)
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

static int set_cpu(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	char now[64] = "", text[96], quota[24];
	int result = 0;

	if (r->has_shares && r->shares)
		result = fb_cgroup_write_number(
		    directory, "cpu.weight", (int64_t)fb_cgroup_weight_of_shares(r->shares), err);
	if (result < 0 || (!r->has_quota && !(r->has_period && r->period)))
		return result;
	/* "QUOTA PERIOD": a half that was not asked for stays as it is. Without the second number
	 * the kernel keeps the period. */
	fb_cgroup_read(directory, "cpu.max", now, sizeof(now));
	now[strcspn(now, " ")] = '\0';
	snprintf(quota, sizeof(quota), "%" PRId64, r->quota);
	snprintf(text, sizeof(text), "%s",
		 !r->has_quota	? (now[0] ? now : "max")
		 : r->quota > 0 ? quota
				: "max");
	if (r->has_period && r->period)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %" PRIu64, r->period);
	return fb_cgroup_write(directory, "cpu.max", text, err);
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

static int set_io(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	/* OCI's 10..1000 to io.weight's 1..10000; BFQ's own file has OCI's range. */
	int result = fb_cgroup_write_number(directory, "io.weight",
					    1 + (r->blkio_weight - 10) * 9999 / 990, err);

	if (result == -ENOENT)
		result = fb_cgroup_write_number(directory, "io.bfq.weight", r->blkio_weight, err);
	if (result == -ENOENT)
		return fail(err, ENOTSUP, "io", directory,
			    "no IO scheduler of this kernel knows weights");
	return result;
}

int fb_cgroup_v2_limits(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	int result = set_memory(directory, r, err);

	if (result == 0)
		result = set_cpu(directory, r, err);
	if (result == 0 && r->cpuset_cpus)
		result = fb_cgroup_write(directory, "cpuset.cpus", r->cpuset_cpus, err);
	if (result == 0 && r->cpuset_mems)
		result = fb_cgroup_write(directory, "cpuset.mems", r->cpuset_mems, err);
	if (result == 0 && r->has_pids)
		result = set_pids(directory, r->pids, err);
	if (result == 0 && r->has_blkio_weight)
		result = set_io(directory, r, err);
	for (size_t i = 0; result == 0 && i + 1 < r->unified.count; i += 2) {
		result = check_unified(r->unified.items[i], err);
		if (result == 0)
			result = fb_cgroup_write(directory, r->unified.items[i],
						 r->unified.items[i + 1], err);
	}
	return result;
}

int fb_cgroup_v2_create(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *group,
			struct fb_error *err)
{
	struct wanted wanted = {0};
	const char *directory;
	int r = collect(resources, &wanted, err);

	if (r == 0)
		r = fb_cgroup_make(mounts, FB_UNIFIED, path, enable, &wanted, group, err);
	if (r < 0)
		return r;
	directory = group->paths[0];
	strcpy(group->memory, directory);
	r = fb_cgroup_v2_limits(directory, resources, err);
	if (r < 0)
		return r;
	group->into = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group->into < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", directory);
	return resources->device_count ? fb_bpf_device_attach(group->into, resources->devices,
							      resources->device_count, err)
				       : 0;
}
