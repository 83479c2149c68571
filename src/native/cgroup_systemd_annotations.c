/* org.systemd.property.NAME=VALUE among the annotations: a property of the unit by name, its value as GVariant writes it ('text', true, 5, uint64 5,
 * ['a', 'b']), as runc and crun take it. NAMESec is in seconds and becomes NAMEUSec. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_systemd.h"

#define PREFIX "org.systemd.property."
#define NAME_MAX_LENGTH 64
#define TEXT_MAX 512

static const struct {
	const char *word, *type;
} types[] = {
	{"byte", "y"}, {"int16", "n"}, {"uint16", "q"}, {"int32", "i"}, {"uint32", "u"}, {"int64", "x"}, {"uint64", "t"}, {"", "i"},
};

/* By these the scope is known and found again. */
static const char *const own[] = {"Description", "Slice", "Delegate", "PIDs"};

static int fail(struct fb_error *err, const char *key, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_SPEC, EINVAL, "annotations", key, detail);
}

/* 'text' or "text" without escapes, from `*at`, behind which `*at` is left. */
static int read_text(const char **at, char to[static TEXT_MAX])
{
	const char quote = **at, *end;
	size_t length;

	if (quote != '\'' && quote != '"')
		return -EINVAL;
	end = strchr(*at + 1, quote);
	length = end ? (size_t)(end - *at - 1) : TEXT_MAX;
	if (length >= TEXT_MAX || memchr(*at + 1, '\\', length))
		return -EINVAL;
	memcpy(to, *at + 1, length);
	to[length] = '\0';
	*at = end + 1;
	return 0;
}

static int put_texts(struct fb_dbus_body *body, const char *name, const char *at)
{
	char text[TEXT_MAX];
	size_t array;

	fb_systemd_property(body, name, "as");
	array = fb_dbus_open(body, 4);
	for (at++; *at != ']'; at += strspn(at, " ")) {
		at += strspn(at, " ");
		if (read_text(&at, text) < 0)
			return -EINVAL;
		fb_dbus_text(body, text);
		at += strspn(at, " ");
		if (*at == ',')
			at++;
		else if (*at != ']')
			return -EINVAL;
	}
	fb_dbus_close(body, array, 4);
	return at[1] ? -EINVAL : 0;
}

static int put_number(struct fb_dbus_body *body, const char *name, bool seconds, const char *value)
{
	size_t i = 0, word = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789");
	bool negative;
	uint64_t number;
	char *end;

	/* A number alone begins with a digit or a sign. */
	word = isalpha((unsigned char)*value) ? word : 0;
	while (types[i].word[0] && !(strlen(types[i].word) == word && strncmp(types[i].word, value, word) == 0))
		i++;
	if (word && !types[i].word[0])
		return -EINVAL;
	value += word;
	value += strspn(value, " ");
	negative = *value == '-';
	errno = 0;
	number = strtoull(value, &end, 0);
	if (end == value || *end || errno || (negative && strchr("yqut", *types[i].type)) || (seconds && (negative || number > UINT64_MAX / 1000000)))
		return -EINVAL;
	fb_systemd_property(body, name, seconds ? "t" : types[i].type);
	if (seconds)
		fb_dbus_u64(body, number * 1000000);
	else if (strchr("xt", *types[i].type))
		fb_dbus_u64(body, number);
	else if (strchr("iu", *types[i].type))
		fb_dbus_u32(body, (uint32_t)number);
	else if (*types[i].type == 'y')
		fb_dbus_byte(body, (uint8_t)number);
	else {
		fb_dbus_align(body, 2);
		fb_dbus_bytes(body, &(uint16_t){(uint16_t)number}, 2);
	}
	return 0;
}

static int put(struct fb_dbus_body *body, const char *name, bool seconds, const char *value)
{
	bool yes = strcmp(value, "true") == 0;
	char text[TEXT_MAX];

	if (!seconds && (yes || strcmp(value, "false") == 0)) {
		fb_systemd_property(body, name, "b");
		fb_dbus_u32(body, yes);
		return 0;
	}
	if (!seconds && *value == '[')
		return put_texts(body, name, value);
	if (!seconds && (*value == '\'' || *value == '"')) {
		if (read_text(&value, text) < 0 || *value)
			return -EINVAL;
		fb_systemd_property(body, name, "s");
		fb_dbus_text(body, text);
		return 0;
	}
	return put_number(body, name, seconds, value);
}

int fb_systemd_annotations(struct fb_dbus_body *body, const struct fb_strv *annotations, struct fb_error *err)
{
	for (size_t i = 0; i + 1 < annotations->count; i += 2) {
		const char *key = annotations->items[i], *name = key + sizeof(PREFIX) - 1;
		char property[NAME_MAX_LENGTH + 8];
		size_t length;
		bool seconds;

		if (strncmp(key, PREFIX, sizeof(PREFIX) - 1) != 0)
			continue;
		length = strlen(name);
		if (length < 3 || length > NAME_MAX_LENGTH || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != length)
			return fail(err, key, "a property's name is letters");
		for (size_t j = 0; j < sizeof(own) / sizeof(*own); j++)
			if (strcmp(name, own[j]) == 0)
				return fail(err, key, "is said by the runtime itself");
		strcpy(property, name);
		seconds = length > 3 && strcmp(name + length - 3, "Sec") == 0 && islower((unsigned char)name[length - 4]);
		if (seconds)
			strcpy(property + length - 3, "USec");
		if (put(body, property, seconds, annotations->items[i + 1]) < 0)
			return fail(err, key, "must be a value as GVariant writes it: 'text', true, 5, uint64 5 or ['text']");
	}
	return 0;
}
