/* Entries of an archive as files below one root. Hostile names and links end here.
 *
 * How a name is resolved. The parents of an entry: openat2 with RESOLVE_IN_ROOT, so that a symbolic
 * link that the layer brought leads where it would lead inside the container, never out (a chroot,
 * as docker does it); magic links and mounts are refused. A single component on the way:
 * RESOLVE_BENEATH and no link at all. The last component is never followed: O_EXCL, mkdirat,
 * symlinkat, linkat and mknodat make something new, or fail with EEXIST and then what is in the way
 * is removed first. So nothing that exists is ever opened for writing, and nodes are never opened.
 * The target of a hard link is a parent resolved as above and a last component that is not
 * followed; one that only a lower layer has is found there name by name, through no link at all.
 */
#ifndef FB_TAR_PLACE_H
#define FB_TAR_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "error.h"
#include "tar_extract.h"
#include "tar_read.h"

struct fb_spot { /* where an entry belongs: "", "" is the root itself */
	char parent[PATH_MAX];
	char leaf[NAME_MAX + 1];
};

struct fb_blame { /* what an error is about */
	const char *entry; /* the name in the archive */
	struct fb_error *err;
};

struct fb_place {
	int root;
	bool merge; /* see fb_extract_options */
	bool layer; /* what replaces something of this layer also hides what lies below it */
	const int *lower; /* the trees of the layers below, complete, topmost first */
	size_t lower_count;
	uint64_t copied, copy_max; /* bytes of file data copied up from them, and how many may be */
	int gate;	     /* until it is known that they are complete */
	void *implied;	     /* of tar_implied.c */
	size_t implied_size; /* bytes */
	/* Archives list one directory after the other, so the last parent saves nearly every
	 * lookup. */
	int parent;
	bool root_listed;
	bool hides; /* it has a whiteout or an opaque directory */
	bool default_acls; /* a directory has one: what is made in it begins with rights of that */
	bool parent_stale; /* something was removed: the name may mean another directory now */
	char parent_name[PATH_MAX];
	FILE *times;	   /* of directories, set when nothing is written into them any more */
	struct fb_blame blame;
};

int fb_place_open(struct fb_place *ret_place, int root_fd, const struct fb_extract_options *options,
		  struct fb_error *err);
/* Set the times of the directories; a root that the archive does not list is as the one below. */
int fb_place_finish(struct fb_place *place);
void fb_place_close(struct fb_place *place);

/* A name of the archive as a spot: leading slashes, "." and empty components dropped; ".." is
 * refused. */
int fb_place_spot(struct fb_place *place, const char *name, struct fb_spot *ret_spot);
static inline bool fb_spot_is_root(const struct fb_spot *spot)
{
	return spot->leaf[0] == '\0';
}

/* fb_inroot_stay and fb_inroot_step, or their like that enter other mounts. */
int fb_place_open_path(const struct fb_place *place, const char *path, int flags);
int fb_place_open_name(const struct fb_place *place, int dirfd, const char *name, int flags);

int fb_place_directory(struct fb_place *place, const struct fb_spot *spot,
		       const struct fb_tar_entry *entry);
/* A new empty file, open for writing; fb_meta_fd is due when it is written. */
int fb_place_file(struct fb_place *place, const struct fb_spot *spot, mode_t mode, int *ret_fd);
/* A target that only a lower layer has is copied up to its own name first, as link(2) on an overlay
 * does it. */
int fb_place_link(struct fb_place *place, const struct fb_spot *spot, const char *target);
int fb_place_symlink(struct fb_place *place, const struct fb_spot *spot,
		     const struct fb_tar_entry *entry);
int fb_place_node(struct fb_place *place, const struct fb_spot *spot,
		  const struct fb_tar_entry *entry);
/* `spot` is what disappears. What this layer itself has there stays: only lower layers are hidden.
 */
int fb_place_whiteout(struct fb_place *place, const struct fb_spot *spot);
/* `spot` is the directory's own. */
int fb_place_opaque(struct fb_place *place, const struct fb_spot *spot);

/* Owner, mode, extended attributes and, for what is no directory, times; in this order: chown
 * clears setuid bits and capabilities, and everything changes the times. */
int fb_meta_fd(const struct fb_blame *blame, int fd, const struct fb_tar_entry *entry);
int fb_meta_at(const struct fb_blame *blame, int parent, const char *leaf,
	       const struct fb_tar_entry *entry);
int fb_meta_opaque(const struct fb_blame *blame, int fd);
int fb_meta_defer(struct fb_place *place, int fd, const char *parent, const char *leaf,
		  const struct timespec times[2]);
int fb_meta_apply_deferred(struct fb_place *place);

#define FB_DEFAULT_ACL "system.posix_acl_default"
/* Take away what something new has from its directory's default ACL: an archive says all of its
 * rights. */
int fb_meta_shed_acls(struct fb_place *place, int parent, const char *leaf);
/* Whether a directory's entry is the reason for that, from here on. */
void fb_meta_note_acl(struct fb_place *place, const struct fb_tar_entry *entry);

/* Until the layers below are complete. */
int fb_lower_wait(struct fb_place *place);
/* Whether what lies below shows through at `path`, which this layer does not have (yet). What leads to it
 * are directories, so that only a whiteout or an opaque one may hide it. */
bool fb_lower_shows(const struct fb_place *place, const char *path);
/* What the layers below have at `path`, which goes through no link: an O_PATH descriptor, or -errno; the
 * topmost that has it counts, and a whiteout or an opaque directory hides the rest. They are complete. */
int fb_lower_search(const struct fb_place *place, const char *path);
/* The same with this layer on top. */
int fb_lower_find(struct fb_place *place, const char *path);
/* A directory of this layer, `leaf` in `parent`, `path` from the root, becomes what was found, if that is one. */
int fb_lower_inherit(struct fb_place *place, int found, int parent, const char *leaf, const char *path);
/* Owner, mode, extended attributes and times of what was found (`st` is its own). */
int fb_lower_meta(struct fb_place *place, int found, const struct stat *st, int parent,
		  const char *leaf);
/* All of what was found, which must be no directory, to a name that is free. */
int fb_lower_copy(struct fb_place *place, int found, int parent, const char *leaf);

/* Whether a directory that no entry lists is to be noted; else the layers below say now what it is like. */
bool fb_implied_wanted(const struct fb_place *place);
int fb_implied_note(struct fb_place *place, int fd, const char *path);
/* An entry lists it. */
void fb_implied_forget(struct fb_place *place, int fd);
int fb_implied_settle(struct fb_place *place);
void fb_implied_free(struct fb_place *place);

int fb_blame_fail(const struct fb_blame *blame, int line, const char *call, int code,
		  const char *detail);
#define BLAME_FAIL(blame, call, code, detail)                                                      \
	fb_blame_fail((blame), __LINE__, (call), (code), (detail))
#define PLACE_FAIL(place, call, code, detail) BLAME_FAIL(&(place)->blame, call, code, detail)

#endif
