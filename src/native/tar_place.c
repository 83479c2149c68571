#include "tar_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "inroot.h"
#include "tar_extract.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY)

int fb_blame_fail(const struct fb_blame *blame, int line, const char *call, int code,
		  const char *detail)
{
	char safe[FB_TAR_SAFE_SIZE];

	return fb_fail_code(blame->err, FB_STAGE_TAR, line, code ? code : EIO, call,
			    fb_tar_safe_name(blame->entry, safe), detail);
}

int fb_place_open(struct fb_place *ret_place, int root_fd, const struct fb_extract_options *options,
		  struct fb_error *err)
{
	/* A descriptor of our own: the caller's may be O_PATH, with which nothing can be changed.
	 */
	int root = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return FB_FAIL(err, FB_STAGE_TAR, "openat", ".");
	ret_place->root = root;
	ret_place->merge = options->merge;
	ret_place->layer = options->mode == FB_EXTRACT_LAYER;
	ret_place->lower = options->lower;
	ret_place->lower_count = options->lower_count;
	ret_place->gate = options->gate;
	ret_place->implied = NULL;
	ret_place->implied_size = 0;
	ret_place->root_listed = ret_place->hides = ret_place->default_acls = false;
	ret_place->copied = 0;
	ret_place->copy_max = UINT64_MAX;
	ret_place->parent = -1;
	ret_place->parent_stale = false;
	ret_place->times = NULL;
	ret_place->blame = (struct fb_blame){.err = err};
	return 0;
}

/* Of all the roots of an image, overlayfs shows the topmost one. */
static int inherit_root(struct fb_place *place)
{
	int r = fb_lower_wait(place);

	return r < 0 ? r : fb_lower_inherit(place, place->lower[0], place->root, ".", "");
}

int fb_place_finish(struct fb_place *place)
{
	int r = place->root_listed || !place->lower_count ? 0 : inherit_root(place);

	if (r == 0)
		r = fb_implied_settle(place);
	return r < 0 ? r : fb_meta_apply_deferred(place);
}

void fb_place_close(struct fb_place *place)
{
	fb_cleanup_fd(&place->parent);
	fb_cleanup_fd(&place->root);
	fb_implied_free(place);
	if (place->times)
		fclose(place->times);
	place->times = NULL;
}

int fb_place_open_path(const struct fb_place *place, const char *path, int flags)
{
	return place->merge ? fb_inroot_open(place->root, path, flags, false)
			    : fb_inroot_stay(place->root, path, flags);
}

int fb_place_open_name(const struct fb_place *place, int dirfd, const char *name, int flags)
{
	int fd;

	if (!place->merge)
		return fb_inroot_step(dirfd, name, flags);
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* Nothing of the layers below shows through the directory. */
static int hide(struct fb_place *place, int fd)
{
	place->hides = true;
	return fb_meta_opaque(&place->blame, fd);
}

/* It looks as in the layers below, although the archive does not say how. */
static int take_over(struct fb_place *place, int fd, int above, const char *prefix,
		     const char *name)
{
	fb_auto_close int below = -1;
	int r;

	if (fb_implied_wanted(place))
		return fb_implied_note(place, fd, prefix);
	r = fb_lower_wait(place);
	if (r < 0)
		return r;
	below = fb_lower_search(place, prefix);
	return below < 0 ? 0 : fb_lower_inherit(place, below, above, name, prefix);
}

/* A parent that no entry has made (yet). `prefix` is its path, `name` the last part of it. */
static int make_parent(struct fb_place *place, int above, const char *prefix, const char *name,
		       bool opaque)
{
	bool shows = !opaque && fb_lower_shows(place, prefix);
	fb_auto_close int fd = -1;
	int r;

	if (mkdirat(above, name, 0755) < 0)
		return PLACE_FAIL(place, "mkdirat", errno, NULL);
	fd = fb_place_open_name(place, above, name, OPEN_DIRECTORY);
	if (fd < 0)
		return PLACE_FAIL(place, "openat2", -fd, NULL);
	r = fb_meta_shed_acls(place, above, name);
	if (r == 0 && fchmod(fd, 0755) < 0) /* whatever the umask */
		return PLACE_FAIL(place, "fchmod", errno, NULL);
	if (r == 0 && shows)
		r = take_over(place, fd, above, prefix, name);
	if (r == 0 && opaque)
		r = hide(place, fd);
	return r < 0 ? r : fb_steal_fd(&fd);
}

/* From the directory `above` to its entry `name`, which is a directory, a link to one, or made. */
static int step(struct fb_place *place, int above, const char *prefix, const char *name)
{
	int fd = fb_place_open_name(place, above, name, O_PATH | O_DIRECTORY);
	struct stat st;

	if (fd >= 0)
		return fd;
	if (fd == -ENOENT)
		return make_parent(place, above, prefix, name, false);
	if (fd != -ENOTDIR && fd != -ELOOP)
		return PLACE_FAIL(place, "openat2", -fd, NULL);
	if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return PLACE_FAIL(place, "fstatat", errno, NULL);
	if (S_ISLNK(st.st_mode)) {
		fd = fb_place_open_path(place, prefix, O_PATH | O_DIRECTORY);
		return fd >= 0 ? fd
			       : PLACE_FAIL(place, "openat2", -fd,
					    "a parent is a symbolic link to no directory here");
	}
	if (!place->layer || !is_whiteout(&st))
		return PLACE_FAIL(place, "openat2", ENOTDIR, "a parent is not a directory");
	/* Removed below and made anew here: nothing of the old directory may show through. */
	if (unlinkat(above, name, 0) < 0)
		return PLACE_FAIL(place, "unlinkat", errno, NULL);
	return make_parent(place, above, prefix, name, true);
}

/* The slow way, taken when a parent is missing: one component at a time. */
static int walk_parents(struct fb_place *place, const char *path)
{
	fb_auto_close int at = fcntl(place->root, F_DUPFD_CLOEXEC, 3);
	char prefix[PATH_MAX];
	size_t begin = 0, end = 0;

	if (at < 0)
		return PLACE_FAIL(place, "fcntl", errno, NULL);
	for (;;) {
		int next;

		end = begin + strcspn(path + begin, "/");
		memcpy(prefix, path, end);
		prefix[end] = '\0';
		next = step(place, at, prefix, prefix + begin);
		if (next < 0)
			return next;
		close(at);
		at = next;
		if (path[end] == '\0')
			return fb_steal_fd(&at);
		begin = end + 1;
	}
}

/* The caller's to use until the next call, not to close. */
static int open_parent(struct fb_place *place, const char *path)
{
	int fd;

	if (*path == '\0')
		return place->root;
	if (place->parent >= 0 && !place->parent_stale && strcmp(path, place->parent_name) == 0)
		return place->parent;
	fb_cleanup_fd(&place->parent);
	place->parent_stale = false;
	fd = fb_place_open_path(place, path, O_PATH | O_DIRECTORY);
	if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
		return PLACE_FAIL(place, "openat2", -fd, NULL);
	if (fd < 0)
		fd = walk_parents(place, path);
	if (fd < 0)
		return fd;
	place->parent = fd;
	strcpy(place->parent_name, path);
	return fd;
}

/* Take away what has the name, whatever it is. */
static int clear(struct fb_place *place, int parent, const char *leaf)
{
	place->parent_stale = true;
	if (unlinkat(parent, leaf, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return PLACE_FAIL(place, "unlinkat", errno, NULL);
	if (place->merge)
		return PLACE_FAIL(place, "unlinkat", EISDIR,
				  "cannot overwrite directory with non-directory");
	return fb_remove_tree(parent, leaf, place->blame.err);
}

/* A directory that takes the place of something else of the same layer hides what lies below, as
 * that did. */
static int make_directory(struct fb_place *place, int parent, const char *leaf, bool *ret_opaque)
{
	struct stat st;
	int r;

	*ret_opaque = false;
	if (mkdirat(parent, leaf, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return PLACE_FAIL(place, "mkdirat", errno, NULL);
	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return PLACE_FAIL(place, "fstatat", errno, NULL);
	if (S_ISDIR(st.st_mode))
		return 0;
	if (place->merge)
		return PLACE_FAIL(place, "mkdirat", ENOTDIR,
				  "cannot overwrite non-directory with directory");
	r = clear(place, parent, leaf);
	if (r == 0 && mkdirat(parent, leaf, 0700) < 0)
		return PLACE_FAIL(place, "mkdirat", errno, NULL);
	*ret_opaque = place->layer;
	return r;
}

int fb_place_directory(struct fb_place *place, const struct fb_spot *spot,
		       const struct fb_tar_entry *entry)
{
	const struct timespec times[2] = {entry->atime, entry->mtime};
	fb_auto_close int fd = -1;
	bool opaque = false;
	int parent, r;

	if (fb_spot_is_root(spot)) {
		place->root_listed = true;
		fb_meta_note_acl(place, entry);
		r = fb_meta_fd(&place->blame, place->root, entry);
		return r < 0 ? r : fb_meta_defer(place, place->root, "", "", times);
	}
	parent = open_parent(place, spot->parent);
	if (parent < 0)
		return parent;
	r = make_directory(place, parent, spot->leaf, &opaque);
	if (r < 0)
		return r;
	fd = fb_place_open_name(place, parent, spot->leaf, OPEN_DIRECTORY);
	if (fd < 0)
		return PLACE_FAIL(place, "openat2", -fd, NULL);
	fb_implied_forget(place, fd);
	r = fb_meta_shed_acls(place, parent, spot->leaf);
	if (r == 0)
		r = fb_meta_fd(&place->blame, fd, entry);
	fb_meta_note_acl(place, entry);
	if (r == 0 && opaque)
		r = hide(place, fd);
	if (r == 0)
		r = fb_meta_defer(place, fd, spot->parent, spot->leaf, times);
	return r;
}

int fb_place_file(struct fb_place *place, const struct fb_spot *spot, mode_t mode, int *ret_fd)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int parent = open_parent(place, spot->parent), fd, r;

	if (parent < 0)
		return parent;
	fd = openat(parent, spot->leaf, flags, mode);
	if (fd < 0 && errno == EEXIST) {
		r = clear(place, parent, spot->leaf);
		if (r < 0)
			return r;
		fd = openat(parent, spot->leaf, flags, mode);
	}
	if (fd < 0)
		return PLACE_FAIL(place, "openat", errno, NULL);
	r = fb_meta_shed_acls(place, parent, spot->leaf);
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

/* Where the target of a hard link lies, a copy of a lower layer's if need be. `ret_opened` is the
 * caller's to close, what is returned is not. */
static int open_target(struct fb_place *place, const struct fb_spot *target, int *ret_opened)
{
	char path[PATH_MAX + NAME_MAX + 2];
	fb_auto_close int found = -1;
	struct stat st;
	int r;

	*ret_opened = fb_place_open_path(place, target->parent, O_PATH | O_DIRECTORY);
	if (*ret_opened >= 0 && fstatat(*ret_opened, target->leaf, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return *ret_opened;
	fb_cleanup_fd(ret_opened);
	r = fb_lower_wait(place);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s%s%s", target->parent, *target->parent ? "/" : "",
		 target->leaf);
	found = fb_lower_find(place, path);
	if (found < 0)
		return PLACE_FAIL(place, "linkat", -found,
				  "the target of the hard link is in no layer");
	r = open_parent(place, target->parent);
	if (r < 0)
		return r;
	*ret_opened = fcntl(r, F_DUPFD_CLOEXEC, 3); /* the held parent is about to be another */
	if (*ret_opened < 0)
		return PLACE_FAIL(place, "fcntl", errno, NULL);
	r = fb_lower_copy(place, found, *ret_opened, target->leaf);
	return r < 0 ? r : *ret_opened;
}

/* What a hard link names must be a file, and another name than its own. */
static int check_target(struct fb_place *place, int from, const struct fb_spot *target, int parent,
			const char *leaf)
{
	struct stat st, from_st, parent_st;

	if (fstatat(from, target->leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_whiteout(&st))
		return PLACE_FAIL(place, "linkat", ENOENT,
				  "the target of the hard link is in no layer");
	if (S_ISDIR(st.st_mode))
		return PLACE_FAIL(place, "linkat", EISDIR,
				  "the target of the hard link is a directory");
	if (fstat(from, &from_st) < 0 || fstat(parent, &parent_st) < 0)
		return PLACE_FAIL(place, "fstat", errno, NULL);
	if (from_st.st_ino == parent_st.st_ino && strcmp(target->leaf, leaf) == 0)
		return PLACE_FAIL(place, "linkat", EINVAL, "a hard link to itself");
	return 0;
}

int fb_place_link(struct fb_place *place, const struct fb_spot *spot, const char *target_name)
{
	fb_auto_close int opened = -1;
	struct fb_spot target;
	int parent, from, r = fb_place_spot(place, target_name, &target);

	if (r < 0)
		return r;
	if (fb_spot_is_root(&target))
		return PLACE_FAIL(place, "linkat", EISDIR,
				  "the target of the hard link is a directory");
	from = open_target(place, &target, &opened);
	if (from < 0)
		return from;
	parent = open_parent(place, spot->parent);
	if (parent < 0)
		return parent;
	r = check_target(place, from, &target, parent, spot->leaf);
	if (r < 0)
		return r;
	r = linkat(from, target.leaf, parent, spot->leaf, 0);
	if (r < 0 && errno == EEXIST) {
		r = clear(place, parent, spot->leaf);
		if (r < 0)
			return r;
		r = linkat(from, target.leaf, parent, spot->leaf, 0);
	}
	return r < 0 ? PLACE_FAIL(place, "linkat", errno, NULL) : 0;
}

int fb_place_symlink(struct fb_place *place, const struct fb_spot *spot,
		     const struct fb_tar_entry *entry)
{
	int parent = open_parent(place, spot->parent), r;

	if (parent < 0)
		return parent;
	r = symlinkat(entry->link, parent, spot->leaf);
	if (r < 0 && errno == EEXIST) {
		r = clear(place, parent, spot->leaf);
		if (r < 0)
			return r;
		r = symlinkat(entry->link, parent, spot->leaf);
	}
	if (r < 0)
		return PLACE_FAIL(place, "symlinkat", errno, NULL);
	return fb_meta_at(&place->blame, parent, spot->leaf, entry);
}

static int make_node(struct fb_place *place, int parent, const char *leaf, mode_t mode,
		     dev_t device)
{
	int r = mknodat(parent, leaf, mode, device);

	if (r < 0 && errno == EEXIST) {
		r = clear(place, parent, leaf);
		if (r < 0)
			return r;
		r = mknodat(parent, leaf, mode, device);
	}
	return r < 0 ? PLACE_FAIL(place, "mknodat", errno, NULL)
		     : fb_meta_shed_acls(place, parent, leaf);
}

int fb_place_node(struct fb_place *place, const struct fb_spot *spot,
		  const struct fb_tar_entry *entry)
{
	mode_t type = entry->type == FB_TAR_CHAR       ? S_IFCHR
		      : entry->type == FB_TAR_BLOCKDEV ? S_IFBLK
						       : S_IFIFO;
	dev_t device = type == S_IFIFO ? 0 : makedev(entry->major, entry->minor);
	int parent, r;

	if (type == S_IFCHR && device == 0)
		return PLACE_FAIL(place, "mknodat", EINVAL,
				  "a character device 0:0 would hide what lies below it");
	parent = open_parent(place, spot->parent);
	if (parent < 0)
		return parent;
	r = make_node(place, parent, spot->leaf, type | 0600, device);
	return r < 0 ? r : fb_meta_at(&place->blame, parent, spot->leaf, entry);
}

static int make_opaque(struct fb_place *place, int parent, const char *leaf)
{
	fb_auto_close int fd = fb_place_open_name(place, parent, leaf, OPEN_DIRECTORY);

	return fd < 0 ? PLACE_FAIL(place, "openat2", -fd, NULL) : hide(place, fd);
}

int fb_place_whiteout(struct fb_place *place, const struct fb_spot *spot)
{
	int parent = open_parent(place, spot->parent);
	struct stat st;

	if (parent < 0)
		return parent;
	place->hides = true;
	if (mknodat(parent, spot->leaf, S_IFCHR, 0) == 0)
		return 0;
	if (errno != EEXIST)
		return PLACE_FAIL(place, "mknodat", errno, NULL);
	if (fstatat(parent, spot->leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return PLACE_FAIL(place, "fstatat", errno, NULL);
	return S_ISDIR(st.st_mode) ? make_opaque(place, parent, spot->leaf) : 0;
}

int fb_place_opaque(struct fb_place *place, const struct fb_spot *spot)
{
	/* The directory may have no entry of its own, so it is opened as the parent of what it
	 * hides. */
	char path[PATH_MAX + NAME_MAX + 2];
	int fd;

	if (fb_spot_is_root(spot))
		return hide(place, place->root);
	snprintf(path, sizeof(path), "%s%s%s", spot->parent, *spot->parent ? "/" : "", spot->leaf);
	fd = open_parent(place, path);
	return fd < 0 ? fd : make_opaque(place, fd, ".");
}
