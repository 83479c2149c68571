#include "spec.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "cleanup.h"
#include "io.h"
#include "spec_json.h"

/* The specification lets a bind's source be relative to the bundle. */
static int absolute_source(const struct fb_node *item, struct fb_mount_spec *mount)
{
	bool bind = mount->type && strcmp(mount->type, "bind") == 0;

	for (size_t i = 0; i < mount->options.count; i++) {
		bind = bind || strcmp(mount->options.items[i], "bind") == 0 ||
		       strcmp(mount->options.items[i], "rbind") == 0;
		if (strcmp(mount->options.items[i], "remount") == 0)
			return 0; /* what is there has its source */
	}
	if (!bind || (mount->source && *mount->source == '/'))
		return 0;
	if (!mount->source || !*mount->source)
		return fb_member_fail(item, "source", "is missing");
	mount->source = fb_arena_printf(item->in->arena, "%s/%s", item->in->bundle, mount->source);
	return mount->source ? 0 : fb_member_fail(item, "source", "does not fit in memory");
}

/* The engine's own word, as `start_time` of a namespace is: a source in another container's mounts. */
static int read_of(const struct fb_node *item, struct fb_process_ref *of)
{
	struct fb_node node;
	int64_t pid = 0;
	int r = fb_json_object(item, "of", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_int(&node, "pid", 0, INT32_MAX, &pid)) < 0 ||
	    (r = fb_json_uint(&node, "start_time", INT64_MAX, &of->start_time)) < 0)
		return r;
	of->pid = (pid_t)pid;
	return of->start_time ? 0 : fb_member_fail(&node, "start_time", "is missing");
}

static int read_mount(const struct fb_node *item, struct fb_mount_spec *mount)
{
	int r;

	if ((r = fb_json_string(item, "destination", &mount->destination)) < 0)
		return r;
	/* A relative one is taken from "/": deprecated, and still demanded by the specification. */
	if (r == 0 || !mount->destination[0])
		return fb_member_fail(item, "destination", "is missing");
	if ((r = fb_json_string(item, "type", &mount->type)) < 0 ||
	    (r = fb_json_string(item, "source", &mount->source)) < 0 ||
	    (r = fb_json_string(item, "fastbox.subpath", &mount->subpath)) < 0 ||
	    (r = fb_json_strv(item, "options", &mount->options)) < 0 || (r = read_of(item, &mount->of)) < 0 ||
	    (r = fb_spec_read_mappings(item, "uidMappings", &mount->uid_mappings, &mount->uid_mapping_count)) < 0 ||
	    (r = fb_spec_read_mappings(item, "gidMappings", &mount->gid_mappings, &mount->gid_mapping_count)) < 0)
		return r;
	if (!mount->uid_mapping_count != !mount->gid_mapping_count)
		return fb_member_fail(item, "uidMappings", "and gidMappings go together");
	return absolute_source(item, mount);
}

static int read_mounts(const struct fb_node *top, struct fb_spec *spec)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(top, "mounts", 4096, &array, &count);

	if (r <= 0)
		return r;
	spec->mounts = fb_node_alloc(&array, count + 1, sizeof(*spec->mounts));
	if (!spec->mounts)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = read_mount(&item, &spec->mounts[i])) < 0)
			return r;
	spec->mount_count = count;
	return 0;
}

static int absolute_string(const struct fb_node *node, const char *key, const char **ret_text)
{
	int r = fb_json_string(node, key, ret_text);

	return r > 0 && **ret_text != '/' ? fb_member_fail(node, key, "must be an absolute path") : r;
}

static int read_overlay(const struct fb_node *node, struct fb_engine_spec *engine)
{
	struct fb_node overlay;
	int r = fb_json_object(node, "overlay", &overlay);

	if (r <= 0)
		return r;
	if ((r = fb_json_strv(&overlay, "lower", &engine->lower)) < 0 ||
	    (r = absolute_string(&overlay, "upper", &engine->upper)) < 0 ||
	    (r = absolute_string(&overlay, "work", &engine->work)) < 0 ||
	    (r = fb_json_bool(&overlay, "volatile", &engine->overlay_volatile)) < 0)
		return r;
	if (!engine->lower.count || engine->lower.count > 500)
		return fb_member_fail(&overlay, "lower", "must name 1 to 500 directories");
	for (size_t i = 0; i < engine->lower.count; i++)
		if (engine->lower.items[i][0] != '/')
			return fb_member_fail(&overlay, "lower", "holds a path that is not absolute");
	if (!engine->upper != !engine->work)
		return fb_member_fail(&overlay, "work", "and upper go together");
	return 0;
}

static int read_restart(const struct fb_node *node, struct fb_engine_spec *engine)
{
	struct fb_node restart;
	const char *policy = "no";
	int r = fb_json_object(node, "restart", &restart);

	if (r <= 0)
		return r;
	if ((r = fb_json_string(&restart, "policy", &policy)) < 0 ||
	    (r = fb_json_u32(&restart, "most", INT_MAX, &engine->restart.most)) < 0)
		return r;
	return fb_restart_policy_of(policy, &engine->restart.policy)
		       ? 0
		       : fb_member_fail(&restart, "policy", "must be no, on-failure, always or unless-stopped");
}

static int read_health(const struct fb_node *node, struct fb_health_spec *health)
{
	struct fb_node check;
	int r = fb_json_object(node, "health", &check);

	if (r <= 0)
		return r;
	if ((r = absolute_string(&check, "document", &health->document)) <= 0)
		return r < 0 ? r : fb_member_fail(&check, "document", "is missing");
	if ((r = fb_json_uint(&check, "interval", INT64_MAX, &health->interval)) < 0 ||
	    (r = fb_json_uint(&check, "timeout", INT64_MAX, &health->timeout)) < 0 ||
	    (r = fb_json_uint(&check, "start_period", INT64_MAX, &health->start_period)) < 0 ||
	    (r = fb_json_uint(&check, "start_interval", INT64_MAX, &health->start_interval)) < 0)
		return r;
	return fb_json_u32(&check, "retries", INT_MAX, &health->retries);
}

/* The id becomes part of paths and of kernel names. */
static bool valid_id(const char *id)
{
	size_t length = strlen(id);

	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)id[i]) && (i == 0 || !strchr("_.-", id[i])))
			return false;
	return length > 0 && length <= 128;
}

static int read_engine(const struct fb_node *top, struct fb_spec *spec)
{
	static const struct fb_word stdin_modes[] = {
		{"none", FB_STDIN_NONE}, {"once", FB_STDIN_ONCE}, {"open", FB_STDIN_OPEN}, {0}};
	struct fb_engine_spec *engine = &spec->engine;
	uint64_t mode = FB_STDIN_NONE;
	uint32_t stop_signal = 0;
	struct fb_node node;
	int r = fb_json_object(top, "fastbox", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_string(&node, "id", &engine->id)) < 0)
		return r;
	if (r > 0 && !valid_id(engine->id))
		return fb_member_fail(&node, "id", "must be letters, digits, dots, dashes, underscores");
	if ((r = fb_json_string(&node, "name", &engine->name)) < 0 ||
	    (r = absolute_string(&node, "directory", &engine->directory)) < 0 ||
	    (r = absolute_string(&node, "run", &engine->run)) < 0 ||
	    (r = absolute_string(&node, "network", &engine->network)) < 0 ||
	    (r = read_overlay(&node, engine)) < 0 || (r = fb_spec_read_log(&node, &engine->log)) < 0 ||
	    (r = fb_json_string(&node, "user", &spec->process.user)) < 0 ||
	    (r = fb_json_strv(&node, "groups", &spec->process.group_add)) < 0 ||
	    (r = absolute_string(&node, "init", &engine->init)) < 0 ||
	    (r = fb_json_word(&node, "stdin", stdin_modes, "must be none, once or open", &mode)) < 0 ||
	    (r = fb_json_bool(&node, "remove", &engine->remove)) < 0 ||
	    (r = absolute_string(&node, "seccomp_cache", &engine->seccomp_cache)) < 0 ||
	    (r = fb_json_u32(&node, "stop_signal", 64, &stop_signal)) < 0 || (r = read_restart(&node, engine)) < 0 ||
	    (r = read_health(&node, &engine->health)) < 0)
		return r;
	engine->stdin_mode = (enum fb_stdin_mode)mode;
	engine->stop_signal = (int)stop_signal;
	return 0;
}

static int read_version(const struct fb_node *top, struct fb_spec *spec)
{
	const char *version;
	int r = fb_json_string(top, "ociVersion", &version);

	if (r <= 0)
		return r < 0 ? r : fb_member_fail(top, "ociVersion", "is missing");
	if (strncmp(version, "1.", 2) != 0 || !isdigit((unsigned char)version[2]))
		return fb_member_fail(top, "ociVersion", "must be 1.x");
	spec->oci_version = version;
	return 0;
}

static int read_root(const struct fb_node *top, struct fb_spec *spec)
{
	struct fb_node node;
	const char *path = NULL;
	int r = fb_json_object(top, "root", &node);

	if (r < 0)
		return r;
	if (r > 0 && ((r = fb_json_string(&node, "path", &path)) < 0 ||
		      (r = fb_json_bool(&node, "readonly", &spec->root_readonly)) < 0))
		return r;
	if (!path || !*path)
		return spec->engine.lower.count ? 0 : fb_member_fail(top, "root", "must have a path");
	spec->root_path = *path == '/' ? path :
			  fb_arena_printf(&spec->arena, "%s/%s", top->in->bundle, path);
	return spec->root_path ? 0 : fb_member_fail(top, "root", "does not fit in memory");
}

static int read_spec(const struct fb_node *top, struct fb_spec *spec)
{
	struct fb_node node;
	int r;

	if ((r = read_version(top, spec)) < 0 || (r = fb_spec_read_hooks(top, spec)) < 0 ||
	    (r = fb_spec_read_annotations(top, spec)) < 0)
		return r;
	if ((r = fb_json_object(top, "process", &node)) <= 0)
		return r < 0 ? r : fb_member_fail(top, "process", "is missing");
	if ((r = fb_spec_read_process(&node, &spec->process)) < 0 || (r = read_engine(top, spec)) < 0 ||
	    (r = read_root(top, spec)) < 0 || (r = read_mounts(top, spec)) < 0 ||
	    (r = fb_json_text(top, "hostname", &spec->hostname)) < 0 ||
	    (r = fb_json_text(top, "domainname", &spec->domainname)) < 0)
		return r;
	if ((r = fb_json_object(top, "linux", &node)) <= 0)
		return r;
	return fb_spec_read_linux(&node, spec);
}

static void put_json(struct json_object **json)
{
	json_object_put(*json);
}

int fb_spec_parse(const char *text, size_t length, const char *bundle, struct fb_spec *ret_spec,
		  struct fb_error *err)
{
	__attribute__((cleanup(put_json))) struct json_object *json = NULL;
	struct fb_spec spec = {0};
	struct fb_reader reader = {.arena = &spec.arena, .bundle = bundle, .err = err};
	struct fb_node top = {.in = &reader};
	int r = fb_json_parse(text, length, &json, err);

	if (r < 0)
		return r;
	top.json = json;
	r = read_spec(&top, &spec);
	if (r < 0) {
		fb_spec_free(&spec);
		return r;
	}
	*ret_spec = spec;
	return 0;
}

int fb_spec_load(const char *bundle, struct fb_spec *ret_spec, struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	char path[4096], target[sizeof(path)];
	ssize_t length;

	if ((size_t)snprintf(path, sizeof(path), "%s/config.json", bundle) >= sizeof(path))
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, ENAMETOOLONG, "open", bundle, NULL);
	/* One with secrets in it lies in memory, and this is a link to it. */
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		memcpy(path, target, (size_t)length);
		path[length] = '\0';
	}
	length = fb_read_file(AT_FDCWD, path, FB_SPEC_MAX_BYTES, &text);
	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, (int)-length, "open", path,
				    length == -EINVAL ? "is not a regular file" : NULL);
	return fb_spec_parse(text, (size_t)length, bundle, ret_spec, err);
}

int fb_spec_parse_exec(const char *text, size_t length, struct fb_arena *arena,
		       struct fb_process_spec *ret_process, bool *ret_privileged, struct fb_error *err)
{
	__attribute__((cleanup(put_json))) struct json_object *json = NULL;
	struct fb_reader reader = {.arena = arena, .bundle = "", .err = err};
	struct fb_node top = {.in = &reader}, node;
	struct fb_process_spec process;
	bool privileged = false;
	int r = fb_json_parse(text, length, &json, err);

	if (r < 0)
		return r;
	top.json = json;
	if ((r = fb_json_object(&top, "process", &node)) <= 0)
		return r < 0 ? r : fb_member_fail(&top, "process", "is missing");
	if ((r = fb_spec_read_process(&node, &process)) < 0 ||
	    (r = fb_json_string(&top, "user", &process.user)) < 0 ||
	    (r = fb_json_strv(&top, "groups", &process.group_add)) < 0 ||
	    (r = fb_json_bool(&top, "privileged", &privileged)) < 0)
		return r;
	*ret_process = process;
	*ret_privileged = privileged;
	return 0;
}

int fb_spec_parse_process(const char *text, size_t length, struct fb_arena *arena, struct fb_process_spec *ret_process,
			  struct fb_error *err)
{
	__attribute__((cleanup(put_json))) struct json_object *json = NULL;
	struct fb_reader reader = {.arena = arena, .bundle = "", .err = err};
	struct fb_node top = {.in = &reader};
	int r = fb_json_parse(text, length, &json, err);

	top.json = json;
	return r < 0 ? r : fb_spec_read_process(&top, ret_process);
}

int fb_spec_parse_resources(const char *text, size_t length, struct fb_arena *arena, struct fb_resources *ret_resources,
			    struct fb_error *err)
{
	__attribute__((cleanup(put_json))) struct json_object *json = NULL;
	struct fb_reader reader = {.arena = arena, .bundle = "", .err = err};
	struct fb_node top = {.in = &reader};
	int r = fb_json_parse(text, length, &json, err);

	top.json = json;
	return r < 0 ? r : fb_spec_read_resources(&top, ret_resources);
}

void fb_spec_free(struct fb_spec *spec)
{
	fb_arena_free(&spec->arena);
	memset(spec, 0, sizeof(*spec));
}
