#include "spec_json.h"

#include <stdio.h>
#include <string.h>

int fb_json_parse(const char *text, size_t length, struct json_object **ret_json, struct fb_error *err)
{
	struct json_tokener *tokener;
	struct json_object *json;
	enum json_tokener_error why;

	if (length > FB_SPEC_MAX_BYTES)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, EFBIG, "config", "", "is larger than 4 MiB");
	tokener = json_tokener_new_ex(FB_SPEC_MAX_DEPTH);
	if (!tokener)
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, ENOMEM, "malloc", "", NULL);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json = json_tokener_parse_ex(tokener, text, (int)length);
	why = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (why != json_tokener_success || !json_object_is_type(json, json_type_object)) {
		json_object_put(json);
		return FB_FAIL_CODE(err, FB_STAGE_SPEC, EINVAL, "config", "",
				    why == json_tokener_success	 ? "must be a JSON object" :
				    why == json_tokener_continue ? "the JSON ends too early" :
								   json_tokener_error_desc(why));
	}
	*ret_json = json;
	return 0;
}

/* The way to a node, root first. Depth is bounded by the tokener's limit. */
static size_t write_path(const struct fb_node *node, char *buffer, size_t size)
{
	const struct fb_node *way[FB_SPEC_MAX_DEPTH];
	size_t depth = 0, at = 0;

	for (; node && node->up && depth < FB_SPEC_MAX_DEPTH; node = node->up)
		way[depth++] = node;
	buffer[0] = '\0';
	while (depth-- && at < size) {
		int n = way[depth]->key ?
				snprintf(buffer + at, size - at, ".%s", way[depth]->key) :
				snprintf(buffer + at, size - at, "[%zu]", way[depth]->index);

		at += n > 0 ? (size_t)n : 0;
	}
	return at;
}

int fb_node_fail(const struct fb_node *node, const char *detail)
{
	char path[512];

	write_path(node, path, sizeof(path));
	return FB_FAIL_CODE(node->in->err, FB_STAGE_SPEC, EINVAL, "config", path[0] ? path : ".", detail);
}

int fb_member_fail(const struct fb_node *up, const char *key, const char *detail)
{
	struct fb_node member = {.in = up->in, .up = up, .key = key};

	return fb_node_fail(&member, detail);
}

static bool find_member(const struct fb_node *up, const char *key, struct fb_node *ret_node)
{
	struct json_object *json;

	if (!json_object_object_get_ex(up->json, key, &json) || !json)
		return false;
	*ret_node = (struct fb_node){.in = up->in, .json = json, .up = up, .key = key};
	return true;
}

void *fb_node_alloc(const struct fb_node *node, size_t count, size_t size)
{
	void *memory = NULL;

	if (!__builtin_mul_overflow(count, size, &size))
		memory = fb_arena_alloc(node->in->arena, size);
	if (!memory)
		FB_FAIL_CODE(node->in->err, FB_STAGE_SPEC, ENOMEM, "malloc", "", NULL);
	return memory;
}

int fb_json_object(const struct fb_node *up, const char *key, struct fb_node *ret_node)
{
	struct fb_node node;

	if (!find_member(up, key, &node))
		return 0;
	if (!json_object_is_type(node.json, json_type_object))
		return fb_node_fail(&node, "must be an object");
	*ret_node = node;
	return 1;
}

int fb_json_array(const struct fb_node *up, const char *key, size_t max, struct fb_node *ret_node,
		  size_t *ret_count)
{
	struct fb_node node;

	if (!find_member(up, key, &node))
		return 0;
	if (!json_object_is_type(node.json, json_type_array))
		return fb_node_fail(&node, "must be an array");
	if (json_object_array_length(node.json) > max)
		return fb_node_fail(&node, "has too many items");
	*ret_count = json_object_array_length(node.json);
	*ret_node = node;
	return 1;
}

int fb_json_item(const struct fb_node *array, size_t index, struct fb_node *ret_item)
{
	struct fb_node item = {.in = array->in, .up = array, .index = index};

	item.json = json_object_array_get_idx(array->json, index);
	if (!json_object_is_type(item.json, json_type_object))
		return fb_node_fail(&item, "must be an object");
	*ret_item = item;
	return 0;
}

/* A NUL inside would make the text that was checked differ from the text that the kernel sees. */
static int copy_text(const struct fb_node *node, char **ret_text)
{
	const char *text;
	char *copy;

	if (!json_object_is_type(node->json, json_type_string))
		return fb_node_fail(node, "must be a string");
	text = json_object_get_string(node->json);
	if (strlen(text) != (size_t)json_object_get_string_len(node->json))
		return fb_node_fail(node, "holds a NUL character");
	copy = fb_arena_strdup(node->in->arena, text);
	if (!copy)
		return FB_FAIL_CODE(node->in->err, FB_STAGE_SPEC, ENOMEM, "malloc", "", NULL);
	*ret_text = copy;
	return 1;
}

int fb_json_string(const struct fb_node *up, const char *key, const char **ret_text)
{
	struct fb_node node;
	char *text;
	int r;

	if (!find_member(up, key, &node))
		return 0;
	r = copy_text(&node, &text);
	if (r > 0)
		*ret_text = text;
	return r;
}

int fb_json_text(const struct fb_node *up, const char *key, const char **ret_text)
{
	const char *text;
	int r = fb_json_string(up, key, &text);

	if (r > 0 && !*text)
		return 0;
	if (r > 0)
		*ret_text = text;
	return r;
}

int fb_json_bool(const struct fb_node *up, const char *key, bool *ret_value)
{
	struct fb_node node;

	if (!find_member(up, key, &node))
		return 0;
	if (!json_object_is_type(node.json, json_type_boolean))
		return fb_node_fail(&node, "must be true or false");
	*ret_value = json_object_get_boolean(node.json);
	return 1;
}

int fb_json_int(const struct fb_node *up, const char *key, int64_t min, int64_t max,
		int64_t *ret_value)
{
	struct fb_node node;
	int64_t value;

	if (!find_member(up, key, &node))
		return 0;
	if (!json_object_is_type(node.json, json_type_int))
		return fb_node_fail(&node, "must be a whole number");
	/* json-c answers INT64_MAX for what is larger. */
	value = json_object_get_int64(node.json);
	if (value < min || value > max || (value == INT64_MAX && json_object_get_uint64(node.json) > INT64_MAX))
		return fb_node_fail(&node, "is out of range");
	*ret_value = value;
	return 1;
}

int fb_json_uint(const struct fb_node *up, const char *key, uint64_t max, uint64_t *ret_value)
{
	struct fb_node node;
	uint64_t value;

	if (!find_member(up, key, &node))
		return 0;
	if (!json_object_is_type(node.json, json_type_int))
		return fb_node_fail(&node, "must be a whole number");
	value = json_object_get_uint64(node.json);
	/* json-c answers 0 for a negative number: never let one wrap to root. */
	if ((value == 0 && json_object_get_int64(node.json) != 0) || value > max)
		return fb_node_fail(&node, "is out of range");
	*ret_value = value;
	return 1;
}

int fb_json_u32(const struct fb_node *up, const char *key, uint32_t max, uint32_t *ret_value)
{
	uint64_t value = 0;
	int r = fb_json_uint(up, key, max, &value);

	if (r > 0)
		*ret_value = (uint32_t)value;
	return r;
}

int fb_json_strv(const struct fb_node *up, const char *key, struct fb_strv *ret_list)
{
	struct fb_node array;
	size_t count;
	char **items;
	int r = fb_json_array(up, key, 65536, &array, &count);

	if (r <= 0)
		return r;
	items = fb_node_alloc(&array, count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_node item = {.in = up->in, .up = &array, .index = i};

		item.json = json_object_array_get_idx(array.json, i);
		if ((r = copy_text(&item, &items[i])) < 0)
			return r;
	}
	ret_list->items = items;
	ret_list->count = count;
	return 1;
}

int fb_json_pairs(const struct fb_node *up, const char *key, struct fb_strv *ret_list)
{
	struct fb_node object;
	size_t count = 0;
	char **items;
	int r = fb_json_object(up, key, &object);

	if (r <= 0)
		return r;
	items = fb_node_alloc(&object, 2 * (size_t)json_object_object_length(object.json) + 1,
			      sizeof(*items));
	if (!items)
		return -ENOMEM;
	json_object_object_foreach(object.json, name, value)
	{
		struct fb_node item = {.in = up->in, .json = value, .up = &object, .key = name};

		items[count] = fb_arena_strdup(up->in->arena, name);
		if (!items[count])
			return FB_FAIL_CODE(up->in->err, FB_STAGE_SPEC, ENOMEM, "malloc", "", NULL);
		if ((r = copy_text(&item, &items[count + 1])) < 0)
			return r;
		count += 2;
	}
	ret_list->items = items;
	ret_list->count = count;
	return 1;
}

int fb_word_find(const struct fb_word *words, const char *name, uint64_t *ret_value)
{
	for (; words->name; words++) {
		if (strcmp(words->name, name) == 0) {
			*ret_value = words->value;
			return 1;
		}
	}
	return 0;
}

int fb_json_word(const struct fb_node *up, const char *key, const struct fb_word *words,
		 const char *unknown, uint64_t *ret_value)
{
	const char *name;
	int r = fb_json_text(up, key, &name);

	if (r <= 0)
		return r;
	return fb_word_find(words, name, ret_value) ? 1 : fb_member_fail(up, key, unknown);
}

int fb_json_flags(const struct fb_node *up, const char *key, const struct fb_word *words, const char *unknown,
		  uint64_t *ret_bits)
{
	struct fb_strv names = {0};
	uint64_t bits = 0, bit = 0;
	int r = fb_json_strv(up, key, &names);

	for (size_t i = 0; r > 0 && i < names.count; i++) {
		if (!fb_word_find(words, names.items[i], &bit))
			return fb_member_fail(up, key, unknown);
		bits |= bit;
	}
	if (r > 0)
		*ret_bits = bits;
	return r;
}
