/* The `hooks` and `annotations` objects. */
#include <limits.h>
#include <string.h>

#include "spec_json.h"
#include "words.h"

static const char *const kinds[FB_HOOK_KINDS] = {
	[FB_HOOK_PRESTART] = "prestart",
	[FB_HOOK_CREATE_RUNTIME] = "createRuntime",
	[FB_HOOK_CREATE_CONTAINER] = "createContainer",
	[FB_HOOK_START_CONTAINER] = "startContainer",
	[FB_HOOK_POSTSTART] = "poststart",
	[FB_HOOK_POSTSTOP] = "poststop",
};

static int read_hook(const struct fb_node *item, struct fb_hook *hook)
{
	int64_t timeout = 0;
	int r = fb_json_string(item, "path", &hook->path);

	if (r < 0)
		return r;
	if (r == 0 || hook->path[0] != '/')
		return fb_member_fail(item, "path", "must be an absolute path");
	if ((r = fb_json_strv(item, "args", &hook->args)) < 0 || (r = fb_json_strv(item, "env", &hook->env)) < 0 ||
	    (r = fb_spec_check_env(item, &hook->env)) < 0 ||
	    (r = fb_json_int(item, "timeout", 1, INT_MAX, &timeout)) < 0)
		return r;
	hook->timeout = (unsigned)timeout;
	return 0;
}

static int read_kind(const struct fb_node *node, enum fb_hook_kind kind, struct fb_hooks *hooks)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(node, kinds[kind], 1024, &array, &count);

	if (r <= 0)
		return r;
	hooks->items = fb_node_alloc(&array, count + 1, sizeof(*hooks->items));
	if (!hooks->items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 || (r = read_hook(&item, &hooks->items[i])) < 0)
			return r;
	hooks->count = count;
	return 0;
}

int fb_spec_read_hooks(const struct fb_node *top, struct fb_spec *spec)
{
	struct fb_node node;
	int r = fb_json_object(top, "hooks", &node);

	for (int kind = 0; r > 0 && kind < FB_HOOK_KINDS; kind++) {
		int kind_r = read_kind(&node, (enum fb_hook_kind)kind, &spec->hooks[kind]);

		if (kind_r < 0)
			return kind_r;
	}
	return r < 0 ? r : 0;
}

int fb_spec_read_annotations(const struct fb_node *top, struct fb_spec *spec)
{
	int r = fb_json_pairs(top, "annotations", &spec->annotations);

	for (size_t i = 0; r > 0 && i < spec->annotations.count; i += 2)
		if (!*spec->annotations.items[i])
			return fb_member_fail(top, "annotations", "holds an empty key");
	return r < 0 ? r : 0;
}

const char *fb_hook_word(size_t index)
{
	return index < FB_HOOK_KINDS ? kinds[index] : NULL;
}
