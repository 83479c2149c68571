/* state.json: what a container's state looks like on disk. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci_internal.h"
#include "record.h"
#include "spec_json.h"

#define SCHEMA 1

static const struct fb_word modes[] = {
	{"none", FB_CGROUP_NONE}, {"v1", FB_CGROUP_V1}, {"hybrid", FB_CGROUP_HYBRID}, {"v2", FB_CGROUP_V2}, {0},
};

static void put(struct json_object *to, const char *key, const char *text)
{
	if (text)
		json_object_object_add(to, key, json_object_new_string(text));
}

static struct json_object *format_cgroup(const struct fb_cgroup *group)
{
	struct json_object *json = json_object_new_object(), *groups = json_object_new_array();

	for (const struct fb_word *mode = modes; mode->name; mode++)
		if (mode->value == (uint64_t)group->mode)
			put(json, "mode", mode->name);
	put(json, "memory", group->memory[0] ? group->memory : NULL);
	for (int i = 0; i < group->path_count; i++) {
		struct json_object *item = json_object_new_object();

		put(item, "path", group->paths[i]);
		put(item, "controller", group->controllers[i]);
		json_object_array_add(groups, item);
	}
	json_object_object_add(json, "groups", groups);
	return json;
}

char *fb_oci_state_format(const struct fb_oci_state *state, struct fb_error *err)
{
	struct json_object *json;
	char boot[40], *text = NULL;

	if (fb_record_boot_id(boot, err) < 0)
		return NULL;
	json = json_object_new_object();
	json_object_object_add(json, "schema", json_object_new_int(SCHEMA));
	put(json, "id", state->id);
	json_object_object_add(json, "pid", json_object_new_int(state->pid));
	json_object_object_add(json, "start_time", json_object_new_uint64(state->start_time));
	put(json, "boot_id", boot);
	put(json, "bundle", state->bundle);
	put(json, "rootfs", state->rootfs);
	put(json, "created", state->created);
	put(json, "unit", state->unit);
	if (state->unit)
		json_object_object_add(json, "unit_of_user", json_object_new_boolean(state->unit_of_user));
	put(json, "rdt", state->rdt);
	json_object_object_add(json, "own_pids", json_object_new_boolean(state->own_pids));
	json_object_object_add(json, "cgroup", format_cgroup(&state->cgroup));
	if (asprintf(&text, "%s\n", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0) {
		FB_FAIL_CODE(err, FB_STAGE_RECORD, ENOMEM, "malloc", "", NULL);
		text = NULL;
	}
	json_object_put(json);
	return text;
}

static int read_text(const struct fb_node *top, const char *key, bool needed, char **ret_text)
{
	const char *text;
	int r = fb_json_string(top, key, &text);

	if (r <= 0)
		return r < 0 || !needed ? r : fb_member_fail(top, key, "is missing");
	*ret_text = strdup(text);
	return *ret_text ? 1 : -ENOMEM;
}

/* These directories will be removed and their processes be killed: no way out of where they are. */
static int read_path(const struct fb_node *node, const char *key, char to[256])
{
	const char *text = NULL;
	int r = fb_json_string(node, key, &text);
	size_t length;

	if (r <= 0)
		return r;
	length = strlen(text);
	if (text[0] != '/' || length > 255 || strstr(text, "/../") || (length > 2 && strcmp(text + length - 3, "/..") == 0))
		return fb_member_fail(node, key, "must be an absolute path");
	strcpy(to, text);
	return 1;
}

static int read_group(const struct fb_node *item, struct fb_cgroup *group)
{
	int index = group->path_count, r = read_path(item, "path", group->paths[index]);
	const char *name = NULL;

	if (r <= 0)
		return r < 0 ? r : fb_member_fail(item, "path", "is missing");
	if ((r = fb_json_string(item, "controller", &name)) < 0)
		return r;
	if (name)
		group->controllers[index] = fb_cgroup_controller(name);
	if (name && !group->controllers[index])
		return fb_member_fail(item, "controller", "unknown controller");
	group->path_count++;
	return 0;
}

static int read_cgroup(const struct fb_node *top, struct fb_cgroup *group)
{
	struct fb_node node, array, item;
	uint64_t mode = FB_CGROUP_NONE;
	size_t count = 0;
	int r = fb_json_object(top, "cgroup", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_word(&node, "mode", modes, "unknown mode", &mode)) < 0 ||
	    (r = read_path(&node, "memory", group->memory)) < 0 ||
	    (r = fb_json_array(&node, "groups", FB_CGROUP_MAX, &array, &count)) < 0)
		return r;
	group->mode = (enum fb_cgroup_mode)mode;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 || (r = read_group(&item, group)) < 0)
			return r;
	return 0;
}

static int read_state(const struct fb_node *top, struct fb_oci_state *state)
{
	uint32_t schema = 0, pid = 0;
	const char *text = "";
	char boot[40];
	int r;

	if ((r = fb_json_u32(top, "schema", UINT32_MAX, &schema)) < 0)
		return r;
	if (schema != SCHEMA)
		return fb_member_fail(top, "schema", schema ? "is of a newer program" : "is missing");
	if ((r = fb_json_string(top, "id", &text)) < 0)
		return r;
	if (strcmp(text, state->id) != 0)
		return fb_member_fail(top, "id", "is another's");
	if ((r = fb_json_u32(top, "pid", INT32_MAX, &pid)) < 0 ||
	    (r = fb_json_uint(top, "start_time", UINT64_MAX, &state->start_time)) < 0 ||
	    (r = fb_json_bool(top, "own_pids", &state->own_pids)) < 0 ||
	    (r = read_text(top, "bundle", true, &state->bundle)) < 0 ||
	    (r = read_text(top, "rootfs", true, &state->rootfs)) < 0 ||
	    (r = read_text(top, "created", true, &state->created)) < 0 ||
	    (r = read_text(top, "unit", false, &state->unit)) < 0 ||
	    (r = fb_json_bool(top, "unit_of_user", &state->unit_of_user)) < 0 ||
	    (r = read_text(top, "rdt", false, &state->rdt)) < 0 || (r = read_cgroup(top, &state->cgroup)) < 0)
		return r;
	state->pid = (pid_t)pid;
	text = "";
	if ((r = fb_json_string(top, "boot_id", &text)) < 0)
		return r;
	/* A process of before the last boot is gone, whoever has its number now. */
	if ((r = fb_record_boot_id(boot, top->in->err)) < 0)
		return r;
	if (strcmp(text, boot) != 0)
		state->start_time = 0;
	return 0;
}

static struct json_object *parse(const char *text, size_t length)
{
	struct json_tokener *tokener = json_tokener_new_ex(8);
	struct json_object *json = NULL;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	json = json_tokener_parse_ex(tokener, text, (int)length);
	if (json_tokener_get_error(tokener) != json_tokener_success || !json_object_is_type(json, json_type_object)) {
		json_object_put(json);
		json = NULL;
	}
	json_tokener_free(tokener);
	return json;
}

int fb_oci_state_parse(const char *text, size_t length, struct fb_oci_state *state, struct fb_error *err)
{
	struct fb_error why = {0};
	struct fb_arena arena = {0};
	struct fb_reader reader = {.arena = &arena, .bundle = "", .err = &why};
	struct fb_node top = {.in = &reader, .json = parse(text, length)};
	char detail[sizeof(err->detail)];
	int r = top.json ? read_state(&top, state) : -EINVAL;

	json_object_put(top.json);
	fb_arena_free(&arena);
	if (r == 0)
		return 0;
	snprintf(detail, sizeof(detail), "its state.json is damaged, or another program's: %.22s %.22s",
		 top.json ? why.path : "", top.json ? why.detail : "no JSON");
	return FB_FAIL_CODE(err, FB_STAGE_RECORD, EINVAL, "container", state->id, detail);
}
