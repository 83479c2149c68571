#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci_internal.h"

static int fail(struct fb_error *err, const char *name, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", name, detail);
}

/* What Go's strconv.ParseBool takes. */
static int parse_bool(const char *text, bool *ret_value)
{
	static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret_value = i < 6;
			return 0;
		}
	}
	return -EINVAL;
}

static int append(struct fb_strv *list, char *text, struct fb_error *err)
{
	char **items = realloc(list->items, (list->count + 2) * sizeof(*items));

	if (!items)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, ENOMEM, "malloc", "", NULL);
	items[list->count++] = text;
	items[list->count] = NULL;
	list->items = items;
	return 0;
}

static const struct fb_oci_option *find(const struct fb_oci_option *table, const char *name, size_t length)
{
	for (; table->name; table++)
		if ((strncmp(table->name, name, length) == 0 && !table->name[length]) ||
		    (length == 1 && table->letter == *name))
			return table;
	return NULL;
}

/* argv[at] is an option. Returns how many arguments it took: 1 or 2. */
static int take(const struct fb_oci_option *table, int argc, char **argv, int at, struct fb_error *err)
{
	const char *name = argv[at] + (argv[at][1] == '-' ? 2 : 1);
	size_t length = strcspn(name, "=");
	char *value = name[length] ? argv[at] + (name + length + 1 - argv[at]) : NULL;
	const struct fb_oci_option *option = find(table, name, length);
	int taken = 1;

	if (!option)
		return fail(err, argv[at], "flag provided but not defined");
	if (option->kind == FB_OCI_FLAG) {
		*(bool *)option->to = true;
		if (value && parse_bool(value, option->to) < 0)
			return fail(err, argv[at], "invalid boolean value");
		return 1;
	}
	if (!value) {
		if (at + 1 == argc)
			return fail(err, argv[at], "flag needs an argument");
		value = argv[at + 1];
		taken = 2;
	}
	if (option->kind == FB_OCI_LIST) {
		int r = append(option->to, value, err);

		return r < 0 ? r : taken;
	}
	*(const char **)option->to = value;
	return taken;
}

/* Move argv[from] and what follows it, `count` in all, before argv[to]. */
static void move_before(char **argv, int from, int count, int to)
{
	for (; count; count--, from++, to++) {
		char *moved = argv[from];

		memmove(&argv[to + 1], &argv[to], (size_t)(from - to) * sizeof(*argv));
		argv[to] = moved;
	}
}

int fb_oci_options(const struct fb_oci_option *table, int argc, char **argv, int *ret_words, struct fb_error *err)
{
	const struct fb_oci_option *last = table;
	int words = 1; /* where the first word is, or will be */

	while (last->name)
		last++;
	for (int at = 1; at < argc;) {
		int taken;

		if (argv[at][0] != '-' || !argv[at][1]) {
			if (last->kind != FB_OCI_ANYWHERE)
				break;
			at++;
			continue;
		}
		if (strcmp(argv[at], "--") == 0) {
			move_before(argv, at, 1, words++);
			break;
		}
		taken = take(table, argc, argv, at, err);
		if (taken < 0)
			return taken;
		move_before(argv, at, taken, words);
		words += taken;
		at += taken;
	}
	*ret_words = words;
	return 0;
}

int fb_oci_options_id(const struct fb_oci_option *table, int argc, char **argv, const char **ret_id, struct fb_error *err)
{
	int words = 0, r = fb_oci_options(table, argc, argv, &words, err);

	if (r < 0)
		return r;
	if (argc - words != 1)
		return fail(err, argv[0], "takes exactly one container id");
	*ret_id = argv[words];
	return 0;
}

int fb_oci_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret_value, struct fb_error *err)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || (*text != '-' && (*text < '0' || *text > '9')))
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, name, text, "must be a whole number");
	if (value < min || value > max)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, name, text, "is out of range");
	*ret_value = value;
	return 0;
}
