/* Extended attributes and hard links, on their way into a tar. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "tar_writer.h"

#define NAMES_FIRST ((size_t)4096)
#define VALUES_MAX ((size_t)1 << 20) /* of one file: what a reader takes */

static const char *after(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

/* What another host may be given. trusted.* is the host's administrator's; user.overlay.* steers
 * overlayfs in a user namespace; labels of security.* are the host's policy. */
static bool is_wanted(const char *name)
{
	if (after(name, "user."))
		return !after(name, "user.overlay.");
	return strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* The list of names, NULs between them; its length, or -errno. */
static ssize_t list_names(struct fb_xattrs *xattrs, const char *path)
{
	for (;;) {
		ssize_t length = xattrs->names_room
				     ? listxattr(path, xattrs->names, xattrs->names_room)
				     : -1;
		char *grown;

		if (length >= 0)
			return length;
		if (xattrs->names_room && errno != ERANGE)
			return errno == ENOTSUP ? 0 : -errno;
		if (xattrs->names_room > XATTR_LIST_MAX)
			return -E2BIG;
		grown =
		    realloc(xattrs->names, xattrs->names_room ? xattrs->names_room * 4 : NAMES_FIRST);
		if (!grown)
			return -ENOMEM;
		xattrs->names_room = xattrs->names_room ? xattrs->names_room * 4 : NAMES_FIRST;
		xattrs->names = grown;
	}
}

/* Append a value; its length, -ENODATA when the attribute is gone. */
static ssize_t read_value(struct fb_xattrs *xattrs, const char *path, const char *name)
{
	for (;;) {
		size_t room = xattrs->values_room - xattrs->values_length;
		ssize_t length =
		    room ? getxattr(path, name, xattrs->values + xattrs->values_length, room) : -1;
		uint8_t *grown;

		if (length >= 0)
			return length;
		if (room && errno != ERANGE)
			return -errno;
		if (xattrs->values_room > VALUES_MAX)
			return -EFBIG;
		grown = realloc(xattrs->values, xattrs->values_room * 2 + NAMES_FIRST);
		if (!grown)
			return -ENOMEM;
		xattrs->values_room = xattrs->values_room * 2 + NAMES_FIRST;
		xattrs->values = grown;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct fb_tar_xattr *left = a, *right = b;

	return strcmp(left->name, right->name);
}

/* Values move while the buffer grows: their places are known at the end only. */
static void place_values(struct fb_xattrs *xattrs)
{
	size_t at = 0;

	for (size_t i = 0; i < xattrs->count; i++) {
		xattrs->items[i].value = xattrs->values + at;
		at += xattrs->items[i].length;
	}
	qsort(xattrs->items, xattrs->count, sizeof(xattrs->items[0]), by_name);
}

static int take(struct fb_writer *writer, const char *path, const char *name,
		struct fb_marks *marks)
{
	struct fb_xattrs *xattrs = &writer->xattrs;
	const char *mark =
	    writer->changes
		? after(name, writer->options.user_marks ? "user.overlay." : "trusted.overlay.")
		: NULL;
	ssize_t length;

	if (!mark && !is_wanted(name))
		return 0;
	length = read_value(xattrs, path, name);
	if (length == -ENODATA)
		return 0;
	if (length < 0)
		return WRITE_FAIL(writer, (int)-length, "getxattr", NULL);
	if (mark) {
		fb_changes_mark(marks, mark, (char *)xattrs->values + xattrs->values_length,
				(size_t)length);
		return 0;
	}
	if (xattrs->count == FB_TAR_XATTR_MAX)
		return WRITE_FAIL(writer, EFBIG, "getxattr", "more than 256 extended attributes");
	xattrs->items[xattrs->count++] =
	    (struct fb_tar_xattr){.name = name, .length = (size_t)length};
	xattrs->values_length += (size_t)length;
	return 0;
}

int fb_writer_xattrs(struct fb_writer *writer, int held, struct fb_tar_entry *entry,
		     struct fb_marks *ret_marks)
{
	struct fb_held_path path = fb_held_path(held);
	struct fb_xattrs *xattrs = &writer->xattrs;
	struct fb_marks marks = {0};
	ssize_t length = list_names(xattrs, path.text);
	const char *name = xattrs->names;

	if (length < 0)
		return WRITE_FAIL(writer, (int)-length, "listxattr", NULL);
	xattrs->count = 0;
	xattrs->values_length = 0;
	for (const char *end = name + length; name < end; name += strlen(name) + 1) {
		int r = take(writer, path.text, name, &marks);

		if (r < 0)
			return r;
	}
	place_values(xattrs);
	entry->xattrs = xattrs->items;
	entry->xattr_count = xattrs->count;
	*ret_marks = marks;
	return 0;
}

int fb_writer_link(struct fb_writer *writer, const struct stat *st, const char **ret_first)
{
	int r = fb_links_note(&writer->links, st, writer->path, ret_first);

	return r < 0 ? WRITE_FAIL(writer, -r, "malloc", NULL) : 0;
}
