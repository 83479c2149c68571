#include <json-c/json.h>
#include <string.h>

#include "hook.h"

static bool put(struct json_object *to, const char *key, struct json_object *value)
{
	if (value && json_object_object_add(to, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static struct json_object *annotations_of(const struct fb_spec *spec)
{
	struct json_object *all = json_object_new_object();

	for (size_t i = 0; all && i + 1 < spec->annotations.count; i += 2)
		put(all, spec->annotations.items[i], json_object_new_string(spec->annotations.items[i + 1]));
	return all;
}

char *fb_hook_state(const struct fb_spec *spec, const char *id, const char *bundle, const char *status, pid_t pid)
{
	struct json_object *state = json_object_new_object();
	char *text = NULL;

	if (state && put(state, "ociVersion", json_object_new_string(spec->oci_version ? spec->oci_version : "1.0.0")) &&
	    put(state, "id", json_object_new_string(id)) && put(state, "status", json_object_new_string(status)) &&
	    (!pid || put(state, "pid", json_object_new_int(pid))) && put(state, "bundle", json_object_new_string(bundle)) &&
	    (!spec->annotations.count || put(state, "annotations", annotations_of(spec))))
		text = strdup(json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(state);
	return text;
}
