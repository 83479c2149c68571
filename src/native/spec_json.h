/* Reading a JSON tree with its own path in every error: ".linux.namespaces[2].type: unknown namespace".
 *
 * A node is a value and the way to it, linked upwards through the callers' stack frames, so that the path costs nothing until
 * it is needed. A missing member and `null` are the same: absent, and the ret_ parameter is left alone.
 */
#ifndef FB_SPEC_JSON_H
#define FB_SPEC_JSON_H

#include <errno.h>
#include <json-c/json.h>

#include "spec.h"

struct fb_reader {
	struct fb_arena *arena;
	const char *bundle;
	struct fb_error *err;
};

struct fb_node {
	const struct fb_reader *in;
	struct json_object *json;
	const struct fb_node *up;
	const char *key; /* NULL: an item, by index */
	size_t index;
};

struct fb_word { /* a table from words to numbers; the last has no name */
	const char *name;
	uint64_t value;
};

/* A text of at most FB_SPEC_MAX_BYTES that is one JSON object, and nothing else; the caller's to put. */
int fb_json_parse(const char *text, size_t length, struct json_object **ret_json, struct fb_error *err);

int fb_node_fail(const struct fb_node *node, const char *detail);
/* The same for a member that may not be there. */
int fb_member_fail(const struct fb_node *up, const char *key, const char *detail);

/* 1: present and of the type; 0: absent; negative: an error. */
int fb_json_object(const struct fb_node *up, const char *key, struct fb_node *ret_node);
int fb_json_array(const struct fb_node *up, const char *key, size_t max, struct fb_node *ret_node,
		  size_t *ret_count);
/* Item `index` of an array that must hold objects. 0 or an error. */
int fb_json_item(const struct fb_node *array, size_t index, struct fb_node *ret_item);
int fb_json_string(const struct fb_node *up, const char *key, const char **ret_text);
/* The same where "" is how callers write "not set". */
int fb_json_text(const struct fb_node *up, const char *key, const char **ret_text);
int fb_json_bool(const struct fb_node *up, const char *key, bool *ret_value);
int fb_json_int(const struct fb_node *up, const char *key, int64_t min, int64_t max,
		int64_t *ret_value);
int fb_json_uint(const struct fb_node *up, const char *key, uint64_t max, uint64_t *ret_value);
int fb_json_u32(const struct fb_node *up, const char *key, uint32_t max, uint32_t *ret_value);
int fb_json_strv(const struct fb_node *up, const char *key, struct fb_strv *ret_list);
/* An object of strings as key, value, key, value. */
int fb_json_pairs(const struct fb_node *up, const char *key, struct fb_strv *ret_list);
/* A list of words of a closed set, as the sum of their bits. */
int fb_json_flags(const struct fb_node *up, const char *key, const struct fb_word *words, const char *unknown,
		  uint64_t *ret_bits);
/* A word of a closed set; any other is an error, "" is "not set". */
int fb_json_word(const struct fb_node *up, const char *key, const struct fb_word *words,
		 const char *unknown, uint64_t *ret_value);
int fb_word_find(const struct fb_word *words, const char *name, uint64_t *ret_value);
void *fb_node_alloc(const struct fb_node *node, size_t count, size_t size);

/* The parts of the document, each in its file. */
int fb_spec_read_hooks(const struct fb_node *top, struct fb_spec *spec);
int fb_spec_read_annotations(const struct fb_node *top, struct fb_spec *spec);
int fb_spec_read_mappings(const struct fb_node *up, const char *key, struct fb_mapping **ret_mappings,
			  size_t *ret_count);
int fb_spec_read_scheduling(const struct fb_node *process_node, struct fb_process_spec *process);
int fb_spec_read_personality(const struct fb_node *linux_node, struct fb_spec *spec);
int fb_spec_read_io(const struct fb_node *resources_node, struct fb_resources *resources);
int fb_spec_read_log(const struct fb_node *up, struct fb_log_spec *log);
/* Every entry of an environment is NAME=value. */
int fb_spec_check_env(const struct fb_node *up, const struct fb_strv *env);
int fb_spec_read_process(const struct fb_node *node, struct fb_process_spec *ret_process);
int fb_spec_read_linux(const struct fb_node *node, struct fb_spec *spec);
int fb_spec_read_resources(const struct fb_node *node, struct fb_resources *ret_resources);
int fb_spec_read_seccomp(const struct fb_node *node, struct fb_seccomp_spec *ret_seccomp);

#endif
