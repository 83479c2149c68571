/* The parts of `linux.resources` that name devices: blockIO, hugepageLimits, network and rdma. */
#include <ctype.h>
#include <net/if.h>
#include <string.h>

#include "spec_json.h"

#define DEVICES_MAX 1024 /* of one kind */

static int read_numbers(const struct fb_node *item, struct fb_blkio_device *device)
{
	int r = fb_json_u32(item, "major", 4095, &device->major);

	if (r <= 0)
		return r < 0 ? r : fb_member_fail(item, "major", "is missing");
	r = fb_json_u32(item, "minor", 1048575, &device->minor);
	return r == 0 ? fb_member_fail(item, "minor", "is missing") : r;
}

/* One or two settings; how many, or an error. */
static int read_weights(const struct fb_node *item, struct fb_blkio_device *devices)
{
	uint32_t weight = 0, leaf = 0;
	int has_weight = fb_json_u32(item, "weight", 1000, &weight), has_leaf, count = 0;

	if (has_weight < 0 || (has_leaf = fb_json_u32(item, "leafWeight", 1000, &leaf)) < 0)
		return -EINVAL;
	if (!has_weight && !has_leaf)
		return fb_member_fail(item, "weight", "or leafWeight is needed");
	devices[1] = devices[0];
	if (weight) {
		devices[count].setting = FB_BLKIO_WEIGHT;
		devices[count++].value = weight;
	}
	if (leaf) {
		devices[count].setting = FB_BLKIO_LEAF_WEIGHT;
		devices[count++].value = leaf;
	}
	return count;
}

static int read_devices(const struct fb_node *up, const char *key, enum fb_blkio_setting setting,
			struct fb_resources *res)
{
	struct fb_blkio_device *devices;
	struct fb_node array, item;
	size_t count, at = res->blkio_device_count;
	int r = fb_json_array(up, key, DEVICES_MAX, &array, &count);

	if (r <= 0)
		return r;
	devices = fb_node_alloc(&array, at + 2 * count + 1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	if (at)
		memcpy(devices, res->blkio_devices, at * sizeof(*devices));
	for (size_t i = 0; i < count; i++) {
		if ((r = fb_json_item(&array, i, &item)) < 0 || (r = read_numbers(&item, &devices[at])) < 0)
			return r;
		devices[at].setting = setting;
		r = setting == FB_BLKIO_WEIGHT ? read_weights(&item, &devices[at]) :
						 fb_json_uint(&item, "rate", INT64_MAX, &devices[at].value);
		if (r < 0)
			return r;
		at += setting == FB_BLKIO_WEIGHT ? (size_t)r : 1;
	}
	res->blkio_devices = devices;
	res->blkio_device_count = at;
	return 0;
}

static int read_block_io(const struct fb_node *up, struct fb_resources *res)
{
	uint32_t weight = 0, leaf = 0;
	struct fb_node node;
	int r = fb_json_object(up, "blockIO", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_u32(&node, "weight", 1000, &weight)) < 0 ||
	    (r = fb_json_u32(&node, "leafWeight", 1000, &leaf)) < 0)
		return r;
	res->has_blkio_weight = weight; /* engines write 0 for "not set" */
	res->blkio_weight = (uint16_t)weight;
	res->has_blkio_leaf_weight = leaf;
	res->blkio_leaf_weight = (uint16_t)leaf;
	if ((r = read_devices(&node, "weightDevice", FB_BLKIO_WEIGHT, res)) < 0 ||
	    (r = read_devices(&node, "throttleReadBpsDevice", FB_BLKIO_READ_BPS, res)) < 0 ||
	    (r = read_devices(&node, "throttleWriteBpsDevice", FB_BLKIO_WRITE_BPS, res)) < 0 ||
	    (r = read_devices(&node, "throttleReadIOPSDevice", FB_BLKIO_READ_IOPS, res)) < 0)
		return r;
	return read_devices(&node, "throttleWriteIOPSDevice", FB_BLKIO_WRITE_IOPS, res);
}

/* It becomes a part of a file's name. */
static bool is_page_size(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits && text[0] != '0' && text[digits] && strchr("KMG", text[digits]) &&
	       strcmp(text + digits + 1, "B") == 0;
}

static int read_hugepages(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(up, "hugepageLimits", 64, &array, &count);

	if (r <= 0)
		return r;
	res->hugepages = fb_node_alloc(&array, count + 1, sizeof(*res->hugepages));
	if (!res->hugepages)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_hugepage_limit *limit = &res->hugepages[i];

		limit->size = "";
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_string(&item, "pageSize", &limit->size)) < 0)
			return r;
		if (!is_page_size(limit->size))
			return fb_member_fail(&item, "pageSize", "must be like 64KB, 2MB or 1GB");
		if ((r = fb_json_uint(&item, "limit", UINT64_MAX, &limit->limit)) <= 0)
			return r < 0 ? r : fb_member_fail(&item, "limit", "is missing");
	}
	res->hugepage_count = count;
	return 0;
}

/* Written with the priority in one line, so that a space or a line's end in it would be another setting. */
static bool is_word(const char *text, size_t max)
{
	size_t length = 0;

	for (; text[length]; length++)
		if (isspace((unsigned char)text[length]) || text[length] == '/')
			return false;
	return length && length <= max;
}

static int read_network(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node, array, item;
	size_t count;
	int r = fb_json_object(up, "network", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_u32(&node, "classID", UINT32_MAX, &res->class_id)) < 0)
		return r;
	res->has_class_id = r > 0;
	if ((r = fb_json_array(&node, "priorities", DEVICES_MAX, &array, &count)) <= 0)
		return r;
	res->net_priorities = fb_node_alloc(&array, count + 1, sizeof(*res->net_priorities));
	if (!res->net_priorities)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_priority *priority = &res->net_priorities[i];

		priority->name = "";
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_string(&item, "name", &priority->name)) < 0)
			return r;
		if (!is_word(priority->name, IFNAMSIZ - 1))
			return fb_member_fail(&item, "name", "must be an interface's name");
		if ((r = fb_json_u32(&item, "priority", UINT32_MAX, &priority->priority)) <= 0)
			return r < 0 ? r : fb_member_fail(&item, "priority", "is missing");
	}
	res->net_priority_count = count;
	return 0;
}

static int read_rdma_limit(const struct fb_node *item, struct fb_rdma_limit *limit)
{
	int r;

	if (!is_word(item->key, 255))
		return fb_node_fail(item, "must be a device's name");
	limit->device = fb_arena_strdup(item->in->arena, item->key);
	if (!limit->device)
		return -ENOMEM;
	if ((r = fb_json_u32(item, "hcaHandles", UINT32_MAX, &limit->handles)) < 0)
		return r;
	limit->has_handles = r > 0;
	if ((r = fb_json_u32(item, "hcaObjects", UINT32_MAX, &limit->objects)) < 0)
		return r;
	limit->has_objects = r > 0;
	return limit->has_handles || limit->has_objects ? 0 :
							  fb_node_fail(item, "needs hcaHandles or hcaObjects");
}

static int read_rdma(const struct fb_node *up, struct fb_resources *res)
{
	struct fb_node node;
	int r = fb_json_object(up, "rdma", &node);

	if (r <= 0)
		return r;
	res->rdma = fb_node_alloc(&node, (size_t)json_object_object_length(node.json) + 1, sizeof(*res->rdma));
	if (!res->rdma)
		return -ENOMEM;
	json_object_object_foreach(node.json, name, value)
	{
		struct fb_node item = {.in = up->in, .json = value, .up = &node, .key = name};

		if (!json_object_is_type(value, json_type_object))
			return fb_node_fail(&item, "must be an object");
		if ((r = read_rdma_limit(&item, &res->rdma[res->rdma_count])) < 0)
			return r;
		res->rdma_count++;
	}
	return 0;
}

int fb_spec_read_io(const struct fb_node *resources_node, struct fb_resources *resources)
{
	int r = read_block_io(resources_node, resources);

	if (r >= 0)
		r = read_hugepages(resources_node, resources);
	if (r >= 0)
		r = read_network(resources_node, resources);
	return r < 0 ? r : read_rdma(resources_node, resources);
}
