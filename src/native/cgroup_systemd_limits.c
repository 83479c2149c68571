/* Limits as properties of a unit.
 *
 * The group's files are written after systemd, so these need not be complete: they are what systemd would write there itself when it is reloaded or
 * changes a property of the same controller, and so have to say the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_internal.h"
#include "cgroup_systemd.h"

#define UNLIMITED UINT64_MAX
#define PERIOD 100000 /* the kernel's own */
#define CPUS_MAX 8192

static void put(struct fb_dbus_body *body, const char *name, uint64_t value)
{
	fb_systemd_property(body, name, "t");
	fb_dbus_u64(body, value);
}

static void put_limit(struct fb_dbus_body *body, const char *name, int64_t value)
{
	put(body, name, value < 0 ? UNLIMITED : (uint64_t)value);
}

/* "0-3,7" as a bit each; what is no list the kernel will refuse. */
static void put_set(struct fb_dbus_body *body, const char *name, const char *list)
{
	uint8_t bits[CPUS_MAX / 8] = {0};
	size_t length = 0, array;

	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end != list && *end == '-')
			last = strtoul(list = end + 1, &end, 10);
		if (end == list || last < first || last >= CPUS_MAX)
			return;
		for (unsigned long i = first; i <= last; i++)
			bits[i / 8] |= (uint8_t)(1 << i % 8);
		length = last / 8 + 1 > length ? last / 8 + 1 : length;
		list = end + strspn(end, ", \n");
	}
	if (!length)
		return;
	fb_systemd_property(body, name, "ay");
	array = fb_dbus_open(body, 1);
	fb_dbus_bytes(body, bits, length);
	fb_dbus_close(body, array, 1);
}

/* --- cpu --- */

/* systemd keeps a quota as a whole part of a hundred of a cpu when it writes the unit down: rounded up, as the group's file may not get less. */
static void put_quota(struct fb_dbus_body *body, int64_t quota, uint64_t period)
{
	uint64_t second = UNLIMITED;

	if (quota > 0 && (uint64_t)quota < UINT64_MAX / 1000000)
		second = ((uint64_t)quota * 1000000 / period + 9999) / 10000 * 10000;
	put(body, "CPUQuotaPeriodUSec", period);
	put(body, "CPUQuotaPerSecUSec", second);
}

static void read_quota(const struct fb_cgroup *group, int64_t *quota, uint64_t *period)
{
	const char *v2 = group ? fb_cgroup_directory(group, "cpu.max") : NULL;
	const char *v1 = group ? fb_cgroup_directory(group, "cpu.cfs_quota_us") : NULL;
	char text[64] = "";
	const char *second;

	if (v2 && fb_cgroup_read(v2, "cpu.max", text, sizeof(text)) > 0) {
		*quota = *text == 'm' ? -1 : strtoll(text, NULL, 10);
		second = strchr(text, ' ');
		*period = second ? strtoull(second, NULL, 10) : PERIOD;
	} else if (v1) {
		if (fb_cgroup_read(v1, "cpu.cfs_quota_us", text, sizeof(text)) > 0)
			*quota = strtoll(text, NULL, 10);
		if (fb_cgroup_read(v1, "cpu.cfs_period_us", text, sizeof(text)) > 0)
			*period = strtoull(text, NULL, 10);
	}
	*period = *period ? *period : PERIOD;
}

static void put_cpu(struct fb_dbus_body *body, bool v2, const struct fb_resources *r, const struct fb_cgroup *group)
{
	int64_t quota = -1;
	uint64_t period = PERIOD;

	if (r->has_shares && r->shares && !(r->has_cpu_idle && r->cpu_idle))
		put(body, v2 ? "CPUWeight" : "CPUShares", v2 ? fb_cgroup_weight_of_shares(r->shares) : r->shares);
	if (!(r->has_quota && r->quota) && !(r->has_period && r->period))
		return;
	read_quota(group, &quota, &period);
	put_quota(body, r->has_quota && r->quota ? r->quota : quota, r->has_period && r->period ? r->period : period);
}

/* --- memory and processes --- */

static void put_memory(struct fb_dbus_body *body, bool v2, const struct fb_resources *r, const struct fb_cgroup *group)
{
	const char *directory = group ? fb_cgroup_directory(group, "memory.max") : NULL;
	int64_t memory = r->memory_limit;
	char text[32] = "";

	if (r->has_memory_limit && r->memory_limit)
		put_limit(body, v2 ? "MemoryMax" : "MemoryLimit", r->memory_limit);
	if (v2 && r->has_memory_reservation && r->memory_reservation)
		put_limit(body, "MemoryLow", r->memory_reservation);
	if (!v2 || !r->has_memory_swap || !r->memory_swap)
		return;
	/* OCI's number is memory plus swap. */
	if (memory <= 0 && directory && fb_cgroup_read(directory, "memory.max", text, sizeof(text)) > 0)
		memory = strtoll(text, NULL, 10);
	if (r->memory_swap < 0 || (memory > 0 && memory <= r->memory_swap))
		put_limit(body, "MemorySwapMax", r->memory_swap < 0 ? -1 : r->memory_swap - memory);
}

/* --- files of cgroup v2 by name --- */

static const struct {
	const char *file, *property;
} files[] = {
	{"memory.max", "MemoryMax"},	      {"memory.high", "MemoryHigh"}, {"memory.low", "MemoryLow"},
	{"memory.min", "MemoryMin"},	      {"pids.max", "TasksMax"},	     {"cpu.weight", "CPUWeight"},
	{"memory.swap.max", "MemorySwapMax"},
};

static void put_file(struct fb_dbus_body *body, const char *file, const char *value)
{
	char *end;
	uint64_t number;

	value += strspn(value, " \t\n");
	number = *value == 'm' ? UNLIMITED : strtoull(value, &end, 10);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (strcmp(file, files[i].file) == 0)
			put(body, files[i].property, number);
	if (strcmp(file, "cpuset.cpus") == 0)
		put_set(body, "AllowedCPUs", value);
	if (strcmp(file, "cpuset.mems") == 0)
		put_set(body, "AllowedMemoryNodes", value);
	if (strcmp(file, "cpu.max") == 0) {
		const char *second = strchr(value, ' ');
		uint64_t period = second ? strtoull(second, NULL, 10) : 0;

		put_quota(body, *value == 'm' ? -1 : (int64_t)number, period ? period : PERIOD);
	}
}

/* --- devices --- */

static bool overlap(int64_t one, int64_t other)
{
	return one < 0 || other < 0 || one == other;
}

/* What of a rule is left by those that follow it. */
static unsigned lasting(const struct fb_device_rule *rule, const struct fb_device_rule *end)
{
	unsigned access = rule->access;

	for (const struct fb_device_rule *later = rule + 1; later < end; later++)
		if (!later->allow && (later->type == 'a' || rule->type == 'a' || later->type == rule->type) &&
		    overlap(later->major, rule->major) && overlap(later->minor, rule->minor))
			access &= ~later->access;
	return access;
}

static void put_device(struct fb_dbus_body *body, const struct fb_device_rule *rule, unsigned access, char type)
{
	const char *kind = type == 'b' ? "block" : "char";
	char path[64], letters[4], *at = letters;

	if (rule->major < 0)
		snprintf(path, sizeof(path), "%s-*", kind);
	else if (rule->minor < 0)
		snprintf(path, sizeof(path), "%s-%lld", kind, (long long)rule->major);
	else
		snprintf(path, sizeof(path), "/dev/%s/%lld:%lld", kind, (long long)rule->major, (long long)rule->minor);
	if (access & FB_ACCESS_READ)
		*at++ = 'r';
	if (access & FB_ACCESS_WRITE)
		*at++ = 'w';
	if (access & FB_ACCESS_MKNOD)
		*at++ = 'm';
	*at = '\0';
	fb_dbus_align(body, 8);
	fb_dbus_text(body, path);
	fb_dbus_text(body, letters);
}

/* The controller of v1 has one list, and systemd would write "all" into it. What can't be said to systemd (a device of every major number, an
 * exception of what is allowed) is left out: after a reload less is allowed then, never more. On v2 our program is one more beside any of systemd's,
 * and stays. */
static void put_devices(struct fb_dbus_body *body, const struct fb_resources *r)
{
	size_t first = r->device_count, array;
	bool all;

	while (first && !(r->devices[first - 1].type == 'a' && r->devices[first - 1].major < 0))
		first--;
	all = first == r->device_count && first && r->devices[first - 1].allow;
	fb_systemd_property(body, "DevicePolicy", "s");
	fb_dbus_text(body, all ? "auto" : "strict");
	fb_systemd_property(body, "DeviceAllow", "a(ss)");
	array = fb_dbus_open(body, 8);
	for (size_t i = first; i < r->device_count; i++) {
		const struct fb_device_rule *rule = &r->devices[i];

		unsigned access = lasting(rule, r->devices + r->device_count);

		if (!rule->allow || !access || (rule->major < 0 && rule->minor >= 0))
			continue;
		for (const char *type = "bc"; *type; type++)
			if (rule->type == *type || rule->type == 'a')
				put_device(body, rule, access, *type);
	}
	fb_dbus_close(body, array, 8);
}

void fb_systemd_limits(struct fb_dbus_body *body, enum fb_cgroup_mode mode, const struct fb_resources *r, const struct fb_cgroup *group)
{
	bool v2 = mode == FB_CGROUP_V2;

	put_memory(body, v2, r, group);
	put_cpu(body, v2, r, group);
	if (r->has_pids && (r->pids || !v2))
		put_limit(body, "TasksMax", r->pids > 0 ? r->pids : -1);
	if (!v2 && r->device_count)
		put_devices(body, r);
	if (!v2 && r->has_blkio_weight)
		put(body, "BlockIOWeight", r->blkio_weight);
	if (v2 && r->cpuset_cpus)
		put_set(body, "AllowedCPUs", r->cpuset_cpus);
	if (v2 && r->cpuset_mems)
		put_set(body, "AllowedMemoryNodes", r->cpuset_mems);
	for (size_t i = 0; v2 && i + 1 < r->unified.count; i += 2)
		put_file(body, r->unified.items[i], r->unified.items[i + 1]);
}
