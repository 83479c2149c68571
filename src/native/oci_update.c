/* update: other limits for a container that lives. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_systemd.h"
#include "cleanup.h"
#include "io.h"
#include "oci_internal.h"

enum kind { NUMBER, BYTES, UNSIGNED, WEIGHT };

struct limit {
	const char *name;
	enum kind kind;
	size_t has, value;
	int64_t min;
};

#define LIMIT(name, kind, field, min)                                                                                        \
	{name, kind, offsetof(struct fb_resources, has_##field), offsetof(struct fb_resources, field), min}

static const struct limit limits[] = {
	LIMIT("blkio-weight", WEIGHT, blkio_weight, 0),
	LIMIT("cpu-period", UNSIGNED, period, 0),
	LIMIT("cpu-quota", NUMBER, quota, INT64_MIN),
	LIMIT("cpu-burst", UNSIGNED, burst, 0),
	LIMIT("cpu-share", UNSIGNED, shares, 0),
	LIMIT("cpu-rt-period", UNSIGNED, rt_period, 0),
	LIMIT("cpu-rt-runtime", NUMBER, rt_runtime, INT64_MIN),
	LIMIT("cpu-idle", NUMBER, cpu_idle, 0),
	LIMIT("kernel-memory", BYTES, kernel_memory, -1),
	LIMIT("kernel-memory-tcp", BYTES, kernel_tcp_memory, -1),
	LIMIT("memory", BYTES, memory_limit, -1),
	LIMIT("memory-reservation", BYTES, memory_reservation, -1),
	LIMIT("memory-swap", BYTES, memory_swap, -1),
	LIMIT("pids-limit", NUMBER, pids, INT64_MIN),
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

struct options {
	const char *texts[LIMITS], *resources, *cpus, *mems, *l3, *bandwidth, *id;
};

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, code, "oci", path, detail);
}

static int read_options(int argc, char **argv, struct options *options, struct fb_error *err)
{
	struct fb_oci_option table[LIMITS + 6] = {
		[LIMITS] = {"resources", 'r', FB_OCI_TEXT, &options->resources},
		{"cpuset-cpus", 0, FB_OCI_TEXT, &options->cpus},
		{"cpuset-mems", 0, FB_OCI_TEXT, &options->mems},
		{"l3-cache-schema", 0, FB_OCI_TEXT, &options->l3},
		{"mem-bw-schema", 0, FB_OCI_TEXT, &options->bandwidth},
		{.kind = FB_OCI_ANYWHERE},
	};

	for (size_t i = 0; i < LIMITS; i++)
		table[i] = (struct fb_oci_option){limits[i].name, 0, FB_OCI_TEXT, &options->texts[i]};
	return fb_oci_options_id(table, argc, argv, &options->id, err);
}

/* "64m", "1.5GiB", "512", and -1. */
static int parse_bytes(const char *name, const char *text, int64_t *ret_value, struct fb_error *err)
{
	static const char units[] = "kmgtp";
	double number, factor = 1;
	const char *unit;
	char *end;

	if (strcmp(text, "-1") == 0) {
		*ret_value = -1;
		return 0;
	}
	number = *text >= '0' && *text <= '9' && text[strspn(text, "0123456789.")] != 'x' ? strtod(text, &end) : -1;
	if (number < 0)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, name, text, "must be a size as 64m, or -1");
	end += *end == ' ';
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		end++;
		for (long i = unit - units; i >= 0; i--)
			factor *= 1024;
		end += (*end | 0x20) == 'i';
	}
	end += (*end | 0x20) == 'b';
	if (*end || number * factor >= 0x1p63)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, name, text, "must be a size as 64m, or -1");
	*ret_value = (int64_t)(number * factor);
	return 0;
}

static int take(const struct limit *limit, const char *text, struct fb_resources *resources, struct fb_error *err)
{
	char *base = (char *)resources;
	int64_t value;
	int r = limit->kind == BYTES ? parse_bytes(limit->name, text, &value, err) :
				       fb_oci_number(limit->name, text, limit->min,
						     limit->kind == WEIGHT ? UINT16_MAX : INT64_MAX, &value, err);

	if (r < 0)
		return r;
	/* runc's callers say 0 for a weight that they don't mean to change. */
	*(bool *)(base + limit->has) = limit->kind != WEIGHT || value;
	if (limit->kind == WEIGHT)
		*(uint16_t *)(base + limit->value) = (uint16_t)value;
	else
		*(int64_t *)(base + limit->value) = value;
	return 0;
}

static int from_words(const struct options *options, struct fb_resources *resources, struct fb_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LIMITS; i++)
		if (options->texts[i] && *options->texts[i])
			r = take(&limits[i], options->texts[i], resources, err);
	resources->cpuset_cpus = options->cpus && *options->cpus ? options->cpus : NULL;
	resources->cpuset_mems = options->mems && *options->mems ? options->mems : NULL;
	return r;
}

static int from_document(const char *path, struct fb_arena *arena, struct fb_resources *resources, struct fb_error *err)
{
	fb_auto_free char *text = malloc(FB_SPEC_MAX_BYTES + 2);
	fb_auto_close int opened = -1;
	int fd = STDIN_FILENO;
	ssize_t length;

	if (!text)
		return fail(err, ENOMEM, NULL, NULL);
	if (strcmp(path, "-") != 0)
		fd = opened = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC); /* a fifo without a writer is empty */
	length = fd < 0 ? -errno : fb_read_all(fd, text, FB_SPEC_MAX_BYTES + 1);
	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, (int)-length, "open", path, NULL);
	text[length] = '\0';
	return fb_spec_parse_resources(text, (size_t)length, arena, resources, err);
}

/* The kernel refuses memory without limit while memory and swap together have one. */
static void complete(struct fb_resources *resources)
{
	if (resources->has_memory_limit && resources->memory_limit == -1 && !resources->has_memory_swap) {
		resources->has_memory_swap = true;
		resources->memory_swap = -1;
	}
	/* What a running container may reach is not changed by the rules of `update`, as with runc. */
	resources->device_count = 0;
}

static int write_schema(const struct fb_oci_state *state, const char *schema, struct fb_error *err)
{
	fb_auto_free char *path = NULL, *line = NULL;
	fb_auto_close int fd = -1;
	int length, r;

	if (!schema || !*schema)
		return 0;
	if (!state->rdt)
		return fail(err, EINVAL, state->id, "the container has no resctrl group");
	if (strchr(schema, '\n'))
		return fail(err, EINVAL, schema, "a schema is one line");
	length = asprintf(&line, "%s\n", schema);
	if (length < 0 || asprintf(&path, "%s/schemata", state->rdt) < 0)
		return fail(err, ENOMEM, NULL, NULL);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : fb_write_all(fd, line, (size_t)length);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_CGROUP, -r, "write", path, NULL) : 0;
}

/* After the kernel has taken the limits. systemd then writes what it knows of the same controllers, its quota rounded: the files once more. */
static int update_unit(const struct fb_oci_state *state, const struct fb_resources *resources, struct fb_error *err)
{
	struct fb_resources again = *resources;
	int r = fb_systemd_update(state->unit, state->unit_of_user, &state->cgroup, resources, err);

	again.check_before_update = false;
	return r < 0 ? r : fb_cgroup_update(&state->cgroup, &again, err);
}

static int update(const struct options *options, const struct fb_oci_state *state, const struct fb_resources *resources,
		  struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);
	int r;

	if (status == FB_OCI_STOPPED || status == FB_OCI_CREATING)
		return fail(err, ESRCH, state->id, "container not running");
	if (!state->cgroup.path_count)
		return fail(err, EINVAL, state->id, "the container has no control group");
	r = fb_cgroup_update(&state->cgroup, resources, err);
	if (r == 0 && state->unit)
		r = update_unit(state, resources, err);
	if (r < 0 || (r = write_schema(state, options->l3, err)) < 0)
		return r;
	return write_schema(state, options->bandwidth, err);
}

int fb_oci_update(const struct fb_oci *oci, int argc, char **argv)
{
	struct fb_oci_state state = {.directory = -1};
	struct fb_resources resources = {0};
	struct options options = {0};
	struct fb_arena arena = {0};
	struct fb_error err = {0};
	int r = read_options(argc, argv, &options, &err);

	if (r == 0)
		r = options.resources && *options.resources ? from_document(options.resources, &arena, &resources, &err) :
							       from_words(&options, &resources, &err);
	if (r == 0)
		r = fb_oci_state_open(oci, options.id, true, &state, &err);
	if (r == 0) {
		complete(&resources);
		r = update(&options, &state, &resources, &err);
	}
	fb_oci_state_close(&state);
	fb_arena_free(&arena);
	return r < 0 ? fb_oci_fail(oci, 1, &err, NULL) : 0;
}
