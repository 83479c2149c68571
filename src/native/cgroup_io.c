/* The limits that name a device, an interface or a size of pages, on v1 and v2. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup_internal.h"

static int fail(struct fb_error *err, int code, const char *call, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

/* --- blkio --- */

#define NO_WEIGHTS "no IO scheduler of this kernel knows weights"
#define NO_LEAVES "leaf weights were the CFQ scheduler's, which kernel 5.0 removed"

/* On v1 CFQ's, before kernel 5.0; BFQ's exists while that scheduler is there, with OCI's range; on v2 the cost model's has another one. */
static const char *weight_file(const char *directory, bool v2)
{
	if (!v2)
		return fb_cgroup_has(directory, "blkio.weight") ? "blkio.weight" : "blkio.bfq.weight";
	return fb_cgroup_has(directory, "io.bfq.weight") ? "io.bfq.weight" : "io.weight";
}

static uint64_t weight_value(const char *file, uint64_t weight)
{
	return strcmp(file, "io.weight") ? weight : 1 + (weight - 10) * 9999 / 990;
}

static int set_weight(const char *directory, bool v2, uint64_t weight, struct fb_error *err)
{
	const char *file = weight_file(directory, v2);
	char text[24];

	if (weight < 10)
		return fail(err, EINVAL, "blkio", directory, "a weight is 10 to 1000");
	snprintf(text, sizeof(text), "%" PRIu64, weight_value(file, weight));
	return fb_cgroup_write_if_known(directory, file, text, NO_WEIGHTS, err);
}

static int set_device_weight(const char *directory, bool v2, const struct fb_blkio_device *device, struct fb_error *err)
{
	const char *file = v2 ? weight_file(directory, true) :
			   fb_cgroup_has(directory, "blkio.weight_device") ? "blkio.weight_device" : "blkio.bfq.weight_device";
	char text[80];

	if (device->value < 10)
		return fail(err, EINVAL, "blkio", directory, "a weight is 10 to 1000");
	snprintf(text, sizeof(text), "%u:%u %" PRIu64, device->major, device->minor, weight_value(file, device->value));
	return fb_cgroup_write_if_known(directory, file, text, NO_WEIGHTS, err);
}

static const struct {
	const char *v1, *v2;
} rates[] = {
	[FB_BLKIO_READ_BPS] = {"blkio.throttle.read_bps_device", "rbps"},
	[FB_BLKIO_WRITE_BPS] = {"blkio.throttle.write_bps_device", "wbps"},
	[FB_BLKIO_READ_IOPS] = {"blkio.throttle.read_iops_device", "riops"},
	[FB_BLKIO_WRITE_IOPS] = {"blkio.throttle.write_iops_device", "wiops"},
};

static int set_device(const char *directory, bool v2, const struct fb_blkio_device *device, struct fb_error *err)
{
	char text[80], value[24] = "max";

	if (device->setting == FB_BLKIO_WEIGHT)
		return set_device_weight(directory, v2, device, err);
	if (device->setting == FB_BLKIO_LEAF_WEIGHT) {
		snprintf(text, sizeof(text), "%u:%u %" PRIu64, device->major, device->minor, device->value);
		return fb_cgroup_write_if_known(directory, "blkio.leaf_weight_device", text, NO_LEAVES, err);
	}
	/* 0 lifts a limit: a number to v1, a word to v2. */
	if (device->value || !v2)
		snprintf(value, sizeof(value), "%" PRIu64, device->value);
	snprintf(text, sizeof(text), v2 ? "%u:%u %s=%s" : "%u:%u %s%s", device->major, device->minor,
		 v2 ? rates[device->setting].v2 : "", value);
	return fb_cgroup_write_if_known(directory, v2 ? "io.max" : rates[device->setting].v1, text,
					"this kernel can't throttle block devices", err);
}

int fb_cgroup_set_blkio(const char *directory, bool v2, const struct fb_resources *r, struct fb_error *err)
{
	char text[24];
	int result = 0;

	if (r->has_blkio_weight)
		result = set_weight(directory, v2, r->blkio_weight, err);
	if (result == 0 && r->has_blkio_leaf_weight) {
		snprintf(text, sizeof(text), "%u", r->blkio_leaf_weight);
		result = fb_cgroup_write_if_known(directory, "blkio.leaf_weight", text, NO_LEAVES, err);
	}
	for (size_t i = 0; result == 0 && i < r->blkio_device_count; i++)
		result = set_device(directory, v2, &r->blkio_devices[i], err);
	return result;
}

/* --- hugetlb --- */

int fb_cgroup_set_hugepages(const char *directory, bool v2, const struct fb_resources *r, struct fb_error *err)
{
	for (size_t i = 0; i < r->hugepage_count; i++) {
		const struct fb_hugepage_limit *limit = &r->hugepages[i];
		char file[96], text[24];
		int result;

		snprintf(text, sizeof(text), "%" PRIu64, limit->limit);
		snprintf(file, sizeof(file), "hugetlb.%s.%s", limit->size, v2 ? "max" : "limit_in_bytes");
		result = fb_cgroup_write_if_known(directory, file, text, "the machine has no pages of this size", err);
		if (result < 0)
			return result;
		/* Reservations are counted apart since 5.7; without, the first use of a page is. */
		snprintf(file, sizeof(file), "hugetlb.%s.rsvd.%s", limit->size, v2 ? "max" : "limit_in_bytes");
		if (fb_cgroup_has(directory, file) && (result = fb_cgroup_write(directory, file, text, err)) < 0)
			return result;
	}
	return 0;
}

/* --- rdma --- */

int fb_cgroup_set_rdma(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	for (size_t i = 0; i < r->rdma_count; i++) {
		const struct fb_rdma_limit *limit = &r->rdma[i];
		char text[384], handles[32] = "", objects[32] = "";
		int result;

		if (limit->has_handles)
			snprintf(handles, sizeof(handles), " hca_handle=%u", limit->handles);
		if (limit->has_objects)
			snprintf(objects, sizeof(objects), " hca_object=%u", limit->objects);
		snprintf(text, sizeof(text), "%s%s%s", limit->device, handles, objects);
		result = fb_cgroup_write(directory, "rdma.max", text, err);
		if (result == -ENODEV || result == -EINVAL)
			return fail(err, ENODEV, "write", limit->device, "is not an RDMA device of this machine");
		if (result < 0)
			return result;
	}
	return 0;
}

/* --- network --- */

int fb_cgroup_set_class(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	return r->has_class_id && r->class_id ?
		       fb_cgroup_write_number(directory, "net_cls.classid", r->class_id, err) :
		       0;
}

int fb_cgroup_set_priorities(const char *directory, const struct fb_resources *r, struct fb_error *err)
{
	for (size_t i = 0; i < r->net_priority_count; i++) {
		const struct fb_priority *priority = &r->net_priorities[i];
		char text[64];
		int result;

		snprintf(text, sizeof(text), "%s %u", priority->name, priority->priority);
		result = fb_cgroup_write(directory, "net_prio.ifpriomap", text, err);
		if (result == -ENODEV)
			return fail(err, ENODEV, "write", priority->name, "is not a network interface of the caller's");
		if (result < 0)
			return result;
	}
	return 0;
}
