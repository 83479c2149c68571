/* The `linux` object: namespaces, mappings, devices, paths. */
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#include "spec_json.h"
#include "words.h"

#define ID_MAX (UINT32_MAX - 1)
#define MAPPINGS_MAX 340 /* the kernel's own limit on lines of uid_map */

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static const struct fb_word namespace_types[] = {
	{"pid", CLONE_NEWPID},	 {"network", CLONE_NEWNET},   {"mount", CLONE_NEWNS},
	{"ipc", CLONE_NEWIPC},	 {"uts", CLONE_NEWUTS},	      {"user", CLONE_NEWUSER},
	{"time", CLONE_NEWTIME}, {"cgroup", CLONE_NEWCGROUP}, {0},
};

static const struct fb_word propagations[] = {
	{"private", MS_PRIVATE},	 {"rprivate", MS_PRIVATE | MS_REC},
	{"slave", MS_SLAVE},		 {"rslave", MS_SLAVE | MS_REC},
	{"shared", MS_SHARED},		 {"rshared", MS_SHARED | MS_REC},
	{"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
	{0},
};

static const struct fb_word device_types[] = {{"c", 'c'}, {"b", 'b'}, {"u", 'u'}, {"p", 'p'}, {0}};

static int read_namespaces(const struct fb_node *linux_node, struct fb_spec *spec)
{
	struct fb_node array, item;
	uint64_t seen = 0;
	size_t count;
	int r = fb_json_array(linux_node, "namespaces", 16, &array, &count);

	if (r <= 0)
		return r;
	spec->namespaces = fb_node_alloc(&array, count + 1, sizeof(*spec->namespaces));
	if (!spec->namespaces)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_namespace *ns = &spec->namespaces[i];

		if ((r = fb_json_item(&array, i, &item)) < 0)
			return r;
		r = fb_json_word(&item, "type", namespace_types, "unknown namespace", &ns->type);
		if (r <= 0)
			return r < 0 ? r : fb_member_fail(&item, "type", "is missing");
		if (seen & ns->type)
			return fb_member_fail(&item, "type", "is given twice");
		seen |= ns->type;
		if ((r = fb_json_text(&item, "path", &ns->path)) < 0)
			return r;
		if (r > 0 && ns->path[0] != '/')
			return fb_member_fail(&item, "path", "must be absolute");
		if ((r = fb_json_uint(&item, "start_time", INT64_MAX, &ns->start_time)) < 0)
			return r;
	}
	spec->namespace_count = count;
	return 0;
}

static bool overlap(uint32_t a, uint32_t b, uint32_t a_size, uint32_t b_size)
{
	return (uint64_t)a < (uint64_t)b + b_size && (uint64_t)b < (uint64_t)a + a_size;
}

/* The kernel refuses these too, but with one errno for all of them. */
static int check_mapping(const struct fb_node *item, const struct fb_mapping *all, size_t index)
{
	const struct fb_mapping *new = &all[index];

	if (!new->size)
		return fb_member_fail(item, "size", "must be above zero");
	if ((uint64_t)new->container + new->size > UINT32_MAX ||
	    (uint64_t)new->host + new->size > UINT32_MAX)
		return fb_member_fail(item, "size", "runs past the last id");
	for (size_t i = 0; i < index; i++)
		if (overlap(all[i].container, new->container, all[i].size, new->size) ||
		    overlap(all[i].host, new->host, all[i].size, new->size))
			return fb_node_fail(item, "overlaps an earlier mapping");
	return 0;
}

int fb_spec_read_mappings(const struct fb_node *up, const char *key, struct fb_mapping **ret_mappings,
			  size_t *ret_count)
{
	struct fb_mapping *mappings;
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(up, key, MAPPINGS_MAX, &array, &count);

	if (r <= 0)
		return r;
	mappings = fb_node_alloc(&array, count + 1, sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_mapping *new = &mappings[i];

		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_u32(&item, "containerID", ID_MAX, &new->container)) < 0 ||
		    (r = fb_json_u32(&item, "hostID", ID_MAX, &new->host)) < 0 ||
		    (r = fb_json_u32(&item, "size", UINT32_MAX, &new->size)) < 0 ||
		    (r = check_mapping(&item, mappings, i)) < 0)
			return r;
	}
	*ret_mappings = mappings;
	*ret_count = count;
	return 0;
}

static int read_offset(const struct fb_node *offsets, const char *clock, int64_t *ret_secs,
		       int64_t *ret_nanosecs)
{
	struct fb_node node;
	int r = fb_json_object(offsets, clock, &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_int(&node, "secs", -(INT64_C(1) << 33), INT64_C(1) << 33, ret_secs)) < 0 ||
	    (r = fb_json_int(&node, "nanosecs", 0, 999999999, ret_nanosecs)) < 0)
		return r;
	return 0;
}

static int read_time_offsets(const struct fb_node *linux_node, struct fb_spec *spec)
{
	int64_t mono[2] = {0}, boot[2] = {0};
	struct fb_node node;
	int r = fb_json_object(linux_node, "timeOffsets", &node);

	if (r <= 0)
		return r;
	if ((r = read_offset(&node, "monotonic", &mono[0], &mono[1])) < 0 ||
	    (r = read_offset(&node, "boottime", &boot[0], &boot[1])) < 0)
		return r;
	spec->timens_offsets = fb_arena_printf(linux_node->in->arena,
					       "monotonic %lld %lld\nboottime %lld %lld\n",
					       (long long)mono[0], (long long)mono[1],
					       (long long)boot[0], (long long)boot[1]);
	return spec->timens_offsets ? 0 : fb_node_fail(&node, "does not fit in memory");
}

static int read_device(const struct fb_node *item, struct fb_device *device)
{
	uint64_t type;
	uint32_t mode = 0666;
	int r;

	if ((r = fb_json_string(item, "path", &device->path)) < 0)
		return r;
	if (r == 0 || device->path[0] != '/')
		return fb_member_fail(item, "path", "must be an absolute path");
	r = fb_json_word(item, "type", device_types, "unknown device type", &type);
	if (r <= 0)
		return r < 0 ? r : fb_member_fail(item, "type", "is missing");
	device->type = (char)type;
	if ((r = fb_json_u32(item, "major", 4095, &device->major)) < 0 ||
	    (r = fb_json_u32(item, "minor", 1048575, &device->minor)) < 0 ||
	    (r = fb_json_u32(item, "fileMode", UINT32_MAX, &mode)) < 0 ||
	    (r = fb_json_u32(item, "uid", ID_MAX, &device->uid)) < 0 ||
	    (r = fb_json_u32(item, "gid", ID_MAX, &device->gid)) < 0)
		return r;
	device->mode = mode & 07777; /* engines write the type's bits into fileMode too, the system's or Go's own */
	return 0;
}

static int read_devices(const struct fb_node *linux_node, struct fb_spec *spec)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(linux_node, "devices", 1024, &array, &count);

	if (r <= 0)
		return r;
	spec->devices = fb_node_alloc(&array, count + 1, sizeof(*spec->devices));
	if (!spec->devices)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = read_device(&item, &spec->devices[i])) < 0)
			return r;
	spec->device_count = count;
	return 0;
}

static int read_paths(const struct fb_node *node, const char *key, struct fb_strv *ret_paths)
{
	int r = fb_json_strv(node, key, ret_paths);

	for (size_t i = 0; r > 0 && i < ret_paths->count; i++)
		if (ret_paths->items[i][0] != '/')
			return fb_member_fail(node, key, "holds a path that is not absolute");
	return r;
}

static int check_namespaces(const struct fb_node *node, const struct fb_spec *spec)
{
	uint64_t new = 0, any = 0;

	for (size_t i = 0; i < spec->namespace_count; i++) {
		any |= spec->namespaces[i].type;
		if (!spec->namespaces[i].path)
			new |= spec->namespaces[i].type;
	}
	if (new & CLONE_NEWUSER && (!spec->uid_mapping_count || !spec->gid_mapping_count))
		return fb_member_fail(node, "uidMappings", "are needed by a user namespace, and gidMappings too");
	/* Of a namespace that is joined they say what it has: id-mapped mounts may need them. */
	if (!(any & CLONE_NEWUSER) && (spec->uid_mapping_count || spec->gid_mapping_count))
		return fb_member_fail(node, "uidMappings", "need a user namespace");
	if (!(new & CLONE_NEWTIME) && spec->timens_offsets)
		return fb_member_fail(node, "timeOffsets", "need a new time namespace");
	return 0;
}

/* The class becomes a directory of resctrl's; a schema is written to a file of lines. */
static int read_intel_rdt(const struct fb_node *linux_node, struct fb_spec *spec)
{
	struct fb_intel_rdt *rdt = &spec->intel_rdt;
	struct fb_node node;
	int r = fb_json_object(linux_node, "intelRdt", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_text(&node, "closID", &rdt->clos_id)) < 0 ||
	    (r = fb_json_text(&node, "l3CacheSchema", &rdt->l3_cache_schema)) < 0 ||
	    (r = fb_json_text(&node, "memBwSchema", &rdt->mem_bw_schema)) < 0 ||
	    (r = fb_json_bool(&node, "enableCMT", &rdt->enable_cmt)) < 0 ||
	    (r = fb_json_bool(&node, "enableMBM", &rdt->enable_mbm)) < 0)
		return r;
	if (rdt->clos_id && (strchr(rdt->clos_id, '/') || strcmp(rdt->clos_id, ".") == 0 || strcmp(rdt->clos_id, "..") == 0))
		return fb_member_fail(&node, "closID", "must be a directory's name");
	if (rdt->mem_bw_schema && (strncmp(rdt->mem_bw_schema, "MB:", 3) || strchr(rdt->mem_bw_schema, '\n')))
		return fb_member_fail(&node, "memBwSchema", "must be one line that begins with MB:");
	rdt->present = true;
	return 0;
}

static int read_seccomp(const struct fb_node *node, struct fb_spec *spec)
{
	struct fb_node member;
	int r = fb_json_object(node, "seccomp", &member);

	if (r <= 0)
		return r;
	spec->seccomp = fb_node_alloc(&member, 1, sizeof(*spec->seccomp));
	return spec->seccomp ? fb_spec_read_seccomp(&member, spec->seccomp) : -ENOMEM;
}

int fb_spec_read_linux(const struct fb_node *node, struct fb_spec *spec)
{
	struct fb_node member;
	uint64_t propagation = 0;
	int r;

	if ((r = read_namespaces(node, spec)) < 0 ||
	    (r = fb_spec_read_mappings(node, "uidMappings", &spec->uid_mappings, &spec->uid_mapping_count)) < 0 ||
	    (r = fb_spec_read_mappings(node, "gidMappings", &spec->gid_mappings, &spec->gid_mapping_count)) < 0 ||
	    (r = read_time_offsets(node, spec)) < 0 || (r = read_devices(node, spec)) < 0 ||
	    (r = fb_json_text(node, "cgroupsPath", &spec->cgroups_path)) < 0 ||
	    (r = fb_json_text(node, "mountLabel", &spec->mount_label)) < 0 ||
	    (r = fb_spec_read_personality(node, spec)) < 0 || (r = read_intel_rdt(node, spec)) < 0 ||
	    (r = fb_json_pairs(node, "sysctl", &spec->sysctl)) < 0 ||
	    (r = read_paths(node, "maskedPaths", &spec->masked_paths)) < 0 ||
	    (r = read_paths(node, "readonlyPaths", &spec->readonly_paths)) < 0 ||
	    (r = fb_json_word(node, "rootfsPropagation", propagations, "unknown propagation",
			      &propagation)) < 0 ||
	    (r = check_namespaces(node, spec)) < 0)
		return r;
	spec->rootfs_propagation = propagation;
	if ((r = fb_json_object(node, "resources", &member)) < 0 ||
	    (r > 0 && (r = fb_spec_read_resources(&member, &spec->resources)) < 0))
		return r;
	return read_seccomp(node, spec);
}

const char *fb_namespace_word(size_t index)
{
	return index < sizeof(namespace_types) / sizeof(namespace_types[0]) ? namespace_types[index].name : NULL;
}
