/* The `linux.resources` object: what cgroup.c sets. */
#include <string.h>

#include "spec_json.h"

static int read_memory(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "memory", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_int(&node, "limit", -1, INT64_MAX, &res->memory_limit)) < 0)
		return r;
	res->has_memory_limit = r > 0;
	if ((r = fb_json_int(&node, "swap", -1, INT64_MAX, &res->memory_swap)) < 0)
		return r;
	res->has_memory_swap = r > 0;
	if ((r = fb_json_int(&node, "reservation", -1, INT64_MAX, &res->memory_reservation)) < 0)
		return r;
	res->has_memory_reservation = r > 0;
	if ((r = fb_json_uint(&node, "swappiness", 200, &res->swappiness)) < 0)
		return r;
	res->has_swappiness = r > 0;
	return fb_json_bool(&node, "disableOOMKiller", &res->oom_kill_disable);
}

static int read_cpu(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "cpu", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_uint(&node, "shares", INT64_MAX, &res->shares)) < 0)
		return r;
	res->has_shares = r > 0;
	if ((r = fb_json_int(&node, "quota", INT64_MIN, INT64_MAX, &res->quota)) < 0)
		return r;
	res->has_quota = r > 0;
	if ((r = fb_json_uint(&node, "period", INT64_MAX, &res->period)) < 0)
		return r;
	res->has_period = r > 0;
	if ((r = fb_json_string(&node, "cpus", &res->cpuset_cpus)) < 0)
		return r;
	return fb_json_string(&node, "mems", &res->cpuset_mems);
}

static int read_others(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	uint32_t weight = 0;
	int r = fb_json_object(up, "pids", &node);

	if (r < 0 || (r > 0 && (r = fb_json_int(&node, "limit", INT64_MIN, INT64_MAX, &res->pids)) < 0))
		return r;
	res->has_pids = r > 0;
	if ((r = fb_json_object(up, "blockIO", &node)) < 0 ||
	    (r > 0 && (r = fb_json_u32(&node, "weight", 1000, &weight)) < 0))
		return r;
	res->has_blkio_weight = r > 0 && weight; /* engines write 0 for "not set" */
	res->blkio_weight = (uint16_t)weight;
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
	uint64_t type = 'a';
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
