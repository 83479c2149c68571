/* The `linux.resources` object: what cgroup.c sets. */
#include <string.h>

#include "spec_json.h"

static int read_int(const struct fb_node *node, const char *key, int64_t min, int64_t *ret_value, bool *ret_has)
{
	int r = fb_json_int(node, key, min, INT64_MAX, ret_value);

	*ret_has = r > 0;
	return r;
}

static int read_uint(const struct fb_node *node, const char *key, uint64_t max, uint64_t *ret_value, bool *ret_has)
{
	int r = fb_json_uint(node, key, max, ret_value);

	*ret_has = r > 0;
	return r;
}

static int read_memory(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "memory", &node);

	if (r <= 0)
		return r;
	if ((r = read_int(&node, "limit", -1, &res->memory_limit, &res->has_memory_limit)) < 0 ||
	    (r = read_int(&node, "swap", -1, &res->memory_swap, &res->has_memory_swap)) < 0 ||
	    (r = read_int(&node, "reservation", -1, &res->memory_reservation, &res->has_memory_reservation)) < 0 ||
	    (r = read_int(&node, "kernel", -1, &res->kernel_memory, &res->has_kernel_memory)) < 0 ||
	    (r = read_int(&node, "kernelTCP", -1, &res->kernel_tcp_memory, &res->has_kernel_tcp_memory)) < 0 ||
	    (r = read_uint(&node, "swappiness", 200, &res->swappiness, &res->has_swappiness)) < 0 ||
	    (r = fb_json_bool(&node, "disableOOMKiller", &res->oom_kill_disable)) < 0 ||
	    (r = fb_json_bool(&node, "checkBeforeUpdate", &res->check_before_update)) < 0)
		return r;
	r = fb_json_bool(&node, "useHierarchy", &res->use_hierarchy);
	res->has_use_hierarchy = r > 0;
	return r;
}

static int read_cpu(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "cpu", &node);

	if (r <= 0)
		return r;
	if ((r = read_uint(&node, "shares", INT64_MAX, &res->shares, &res->has_shares)) < 0 ||
	    (r = read_int(&node, "quota", INT64_MIN, &res->quota, &res->has_quota)) < 0 ||
	    (r = read_uint(&node, "period", INT64_MAX, &res->period, &res->has_period)) < 0 ||
	    (r = read_uint(&node, "burst", INT64_MAX, &res->burst, &res->has_burst)) < 0 ||
	    (r = read_int(&node, "realtimeRuntime", -1, &res->rt_runtime, &res->has_rt_runtime)) < 0 ||
	    (r = read_uint(&node, "realtimePeriod", INT64_MAX, &res->rt_period, &res->has_rt_period)) < 0 ||
	    (r = fb_json_text(&node, "cpus", &res->cpuset_cpus)) < 0 ||
	    (r = fb_json_text(&node, "mems", &res->cpuset_mems)) < 0)
		return r;
	r = fb_json_int(&node, "idle", 0, 1, &res->cpu_idle);
	res->has_cpu_idle = r > 0;
	return r;
}

static int read_others(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "pids", &node);

	if (r < 0 || (r > 0 && (r = fb_json_int(&node, "limit", INT64_MIN, INT64_MAX, &res->pids)) < 0))
		return r;
	res->has_pids = r > 0;
	if ((r = fb_spec_read_io(up, res)) < 0)
		return r;
	return fb_json_pairs(up, "unified", &res->unified);
}

static int read_access(const struct fb_node *item, unsigned *ret_access)
{
	const char *text = "rwm";
	int r = fb_json_string(item, "access", &text);

	if (r < 0)
		return r;
	*ret_access = 0;
	for (; *text; text++) {
		if (*text == 'r')
			*ret_access |= FB_ACCESS_READ;
		else if (*text == 'w')
			*ret_access |= FB_ACCESS_WRITE;
		else if (*text == 'm')
			*ret_access |= FB_ACCESS_MKNOD;
		else
			return fb_member_fail(item, "access", "must be made of r, w and m");
	}
	return 0;
}

static int read_device_rule(const struct fb_node *item, struct fb_device_rule *rule)
{
	static const struct fb_word types[] = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}, {0}};
	uint64_t type = 'a'; /* and for "" */
	int r = fb_json_bool(item, "allow", &rule->allow);

	if (r <= 0)
		return r < 0 ? r : fb_member_fail(item, "allow", "is missing");
	rule->major = rule->minor = -1;
	if ((r = fb_json_word(item, "type", types, "unknown device type", &type)) < 0 ||
	    (r = fb_json_int(item, "major", -1, UINT32_MAX, &rule->major)) < 0 ||
	    (r = fb_json_int(item, "minor", -1, UINT32_MAX, &rule->minor)) < 0)
		return r;
	rule->type = (char)type;
	return read_access(item, &rule->access);
}

static int read_device_rules(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(up, "devices", 1024, &array, &count);

	if (r <= 0)
		return r;
	res->devices = fb_node_alloc(&array, count + 1, sizeof(*res->devices));
	if (!res->devices)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = read_device_rule(&item, &res->devices[i])) < 0)
			return r;
	res->device_count = count;
	return 0;
}

int fb_spec_read_resources(const struct fb_node *node, struct fb_resources *ret_resources)
{
	struct fb_resources res = {0};
	int r;

	if ((r = read_memory(node, &res)) < 0 || (r = read_cpu(node, &res)) < 0 ||
	    (r = read_others(node, &res)) < 0 || (r = read_device_rules(node, &res)) < 0)
		return r;
	*ret_resources = res;
	return 0;
}
