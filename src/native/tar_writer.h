/* What the files of the tar writer share: tar_write.c (the walk), tar_write_file.c (data and holes),
 * tar_write_meta.c (extended attributes, links), tar_changes.c (overlayfs's marks). */
#ifndef FB_TAR_WRITER_H
#define FB_TAR_WRITER_H

#include <limits.h>
#include <sys/stat.h>

#include "links.h"
#include "tar_emit.h"
#include "tar_write.h"

struct fb_marks { /* what overlayfs noted on a file of its upper */
	bool opaque, redirect, metacopy, whiteout;
};

struct fb_xattrs { /* of one file; keeps its memory */
	struct fb_tar_xattr items[FB_TAR_XATTR_MAX];
	size_t count;
	char *names;
	size_t names_room;
	uint8_t *values;
	size_t values_length, values_room;
};

struct fb_writer {
	struct fb_pack *pack;
	struct fb_write_options options;
	int root;	/* of the walk under way */
	int merged;	/* -1: none */
	bool changes;	/* overlayfs's marks mean something */
	char path[PATH_MAX]; /* of the current entry, below the root */
	size_t length;
	size_t prefix; /* how much of it is not below `root`, but its name in the archive */
	unsigned depth;
	struct fb_links links;
	struct fb_xattrs xattrs;
	struct fb_tar_segment *segments;
	size_t segment_room;
	uint64_t entries;
	struct fb_error *err;
};

#define WRITE_FAIL(writer, code, call, detail)                                                     \
	fb_fail_code((writer)->err, FB_STAGE_WRITE, __LINE__, (code), (call), (writer)->path,      \
		     (detail))

/* A file that is held by an O_PATH descriptor, for calls that take a path: it is opened or asked
 * without its name. */
struct fb_held_path {
	char text[32];
};
struct fb_held_path fb_held_path(int fd);

/* Header of the current entry. */
int fb_writer_emit(struct fb_writer *writer, struct fb_tar_entry *entry);
/* All in one directory, whose path is the current one. `*fd` is read, may be closed on the way, and
 * is the caller's to close. */
int fb_writer_directory(struct fb_writer *writer, int *fd);

/* Header and data of a regular file that is held by an O_PATH descriptor. */
int fb_writer_file(struct fb_writer *writer, int held, struct fb_tar_entry *entry);

/* The attributes that an archive carries into `entry`; in a changeset also the marks. */
int fb_writer_xattrs(struct fb_writer *writer, int held, struct fb_tar_entry *entry,
		     struct fb_marks *ret_marks);
/* The first name that the file had, or NULL: it has none yet, and the current one is noted. */
int fb_writer_link(struct fb_writer *writer, const struct stat *st, const char **ret_first);

/* `attribute` is the part behind "trusted.overlay." */
void fb_changes_mark(struct fb_marks *marks, const char *attribute, const char *value,
		     size_t length);
/* "dir/name" becomes the entry dir/.wh.name. */
int fb_changes_whiteout(struct fb_writer *writer);
/* The entry that empties the current directory. */
int fb_changes_opaque(struct fb_writer *writer);
/* The same file in the merged tree, by O_PATH. */
int fb_changes_merged(struct fb_writer *writer);
/* All that the merged tree has in the current directory. */
int fb_changes_redirected(struct fb_writer *writer);

#endif
