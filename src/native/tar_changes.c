/* How overlayfs keeps changes in its upper directory (Documentation/filesystems/overlayfs.rst), and
 * what a layer has for them (OCI image specification, "Representing Changes"). */
#include "tar_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "inroot.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

void fb_changes_mark(struct fb_marks *marks, const char *attribute, const char *value,
		     size_t length)
{
	/* "x" says that the directory holds whiteouts that are files, not that it hides anything. */
	if (strcmp(attribute, "opaque") == 0)
		marks->opaque = length == 1 && value[0] == 'y';
	else if (strcmp(attribute, "redirect") == 0)
		marks->redirect = true;
	else if (strcmp(attribute, "metacopy") == 0)
		marks->metacopy = true;
	else if (strcmp(attribute, "whiteout") == 0)
		marks->whiteout = true;
}

/* No time and no owner: when something was removed, and by whom, is not part of what is left. */
static int emit_marker(struct fb_writer *writer)
{
	struct fb_tar_entry entry = {.type = FB_TAR_FILE};

	return fb_writer_emit(writer, &entry);
}

int fb_changes_whiteout(struct fb_writer *writer)
{
	char *slash = strrchr(writer->path, '/');
	size_t at = slash ? (size_t)(slash - writer->path) + 1 : 0, mark = strlen(WHITEOUT);

	if (writer->length - at + mark > NAME_MAX)
		return WRITE_FAIL(writer, ENAMETOOLONG, "tar",
				  "a layer can't remove a name of more than 251 bytes");
	if (writer->length + mark >= sizeof(writer->path))
		return WRITE_FAIL(writer, ENAMETOOLONG, "tar", NULL);
	memmove(writer->path + at + mark, writer->path + at, writer->length - at + 1);
	memcpy(writer->path + at, WHITEOUT, mark);
	writer->length += mark;
	return emit_marker(writer);
}

int fb_changes_opaque(struct fb_writer *writer)
{
	size_t length = writer->length;
	int r;

	if (length + sizeof("/" OPAQUE) > sizeof(writer->path))
		return WRITE_FAIL(writer, ENAMETOOLONG, "tar", NULL);
	memcpy(writer->path + length, "/" OPAQUE, sizeof("/" OPAQUE));
	writer->length += strlen("/" OPAQUE);
	r = emit_marker(writer);
	writer->length = length;
	writer->path[length] = '\0';
	return r;
}

static int open_merged(struct fb_writer *writer, int flags)
{
	int fd;

	if (writer->merged < 0)
		return WRITE_FAIL(writer, ENOTSUP, "tar",
				  "its content is in a layer below: the merged tree is needed");
	fd = fb_inroot_stay(writer->merged, writer->path, flags | O_NOFOLLOW);
	return fd < 0 ? WRITE_FAIL(writer, -fd, "openat2", "of the merged tree") : fd;
}

int fb_changes_merged(struct fb_writer *writer)
{
	return open_merged(writer, O_PATH);
}

/* It hides what the lower layers have under its new name, and holds all that they have under the
 * old one. */
int fb_changes_redirected(struct fb_writer *writer)
{
	int root = writer->root, r;
	fb_auto_close int fd = open_merged(writer, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	r = fb_changes_opaque(writer);
	if (r < 0)
		return r;
	writer->root = writer->merged;
	writer->changes = false;
	r = fb_writer_directory(writer, &fd);
	writer->root = root;
	writer->changes = true;
	return r;
}
