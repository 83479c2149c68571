/* Owners, modes, extended attributes and times of what tar_place.c makes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "inroot.h"
#include "tar_place.h"

/* trusted.* steers overlayfs and belongs to the host's administrator; user.overlay.* steers
 * overlayfs in a user namespace. */
static bool xattr_wanted(const char *name)
{
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0;
	return strncmp(name, "security.", 9) == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* What a file system or a kind of file can't hold is no reason to refuse an image. A lost
 * capability is, unless no file of this file system has any. */
static bool xattr_may_fail(const char *name, int code)
{
	if (code == ENOTSUP)
		return true;
	if (strcmp(name, "security.capability") == 0)
		return false;
	return code == EPERM || (code == EINVAL && strncmp(name, "security.", 9) == 0);
}

/* `path` NULL: of the descriptor. A path is that of a held directory in /proc and a name that is
 * not followed. */
static int set_xattrs(const struct fb_blame *blame, int fd, const char *path,
		      const struct fb_tar_entry *entry)
{
	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct fb_tar_xattr *xattr = &entry->xattrs[i];
		int r;

		if (!xattr_wanted(xattr->name))
			continue;
		r = path ? lsetxattr(path, xattr->name, xattr->value, xattr->length, 0)
			 : fsetxattr(fd, xattr->name, xattr->value, xattr->length, 0);
		if (r < 0 && !xattr_may_fail(xattr->name, errno))
			return BLAME_FAIL(blame, "setxattr", errno, NULL);
	}
	return 0;
}

int fb_meta_fd(const struct fb_blame *blame, int fd, const struct fb_tar_entry *entry)
{
	const struct timespec times[2] = {entry->atime, entry->mtime};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return BLAME_FAIL(blame, "fstat", errno, NULL);
	/* What is right already costs a journal entry to set again. */
	if ((st.st_uid != entry->uid || st.st_gid != entry->gid) &&
	    fchown(fd, entry->uid, entry->gid) < 0)
		return BLAME_FAIL(blame, "fchown", errno, NULL);
	if ((st.st_mode & 07777) != entry->mode && fchmod(fd, entry->mode) < 0)
		return BLAME_FAIL(blame, "fchmod", errno, NULL);
	r = set_xattrs(blame, fd, NULL, entry);
	if (r < 0 || entry->type == FB_TAR_DIRECTORY)
		return r;
	return futimens(fd, times) < 0 ? BLAME_FAIL(blame, "utimensat", errno, NULL) : 0;
}

int fb_meta_at(const struct fb_blame *blame, int parent, const char *leaf,
	       const struct fb_tar_entry *entry)
{
	const struct timespec times[2] = {entry->atime, entry->mtime};
	char path[NAME_MAX + 40];
	int r = 0;

	if (fchownat(parent, leaf, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return BLAME_FAIL(blame, "fchownat", errno, NULL);
	/* A link has no mode. For a node libc opens it O_PATH, which does not open the device, and
	 * goes through /proc/self/fd. */
	if (entry->type != FB_TAR_SYMLINK &&
	    fchmodat(parent, leaf, entry->mode, AT_SYMLINK_NOFOLLOW) < 0)
		return BLAME_FAIL(blame, "fchmodat", errno, NULL);
	if (entry->xattr_count) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, leaf);
		r = set_xattrs(blame, -1, path, entry);
	}
	if (r == 0 && utimensat(parent, leaf, times, AT_SYMLINK_NOFOLLOW) < 0)
		return BLAME_FAIL(blame, "utimensat", errno, NULL);
	return r;
}

void fb_meta_note_acl(struct fb_place *place, const struct fb_tar_entry *entry)
{
	for (size_t i = 0; i < entry->xattr_count; i++)
		if (strcmp(entry->xattrs[i].name, FB_DEFAULT_ACL) == 0)
			place->default_acls = true;
}

int fb_meta_shed_acls(struct fb_place *place, int parent, const char *leaf)
{
	static const char *const names[] = {"system.posix_acl_access", FB_DEFAULT_ACL};
	char path[NAME_MAX + 40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, leaf);
	for (size_t i = 0; place->default_acls && i < sizeof(names) / sizeof(names[0]); i++)
		if (lremovexattr(path, names[i]) < 0 && errno != ENODATA && errno != ENOTSUP)
			return PLACE_FAIL(place, "removexattr", errno, NULL);
	return 0;
}

int fb_meta_opaque(const struct fb_blame *blame, int fd)
{
	if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
		return BLAME_FAIL(blame, "setxattr", errno,
				  "the store's file system can't mark a directory opaque");
	return 0;
}

struct deferred {
	struct timespec times[2];
	ino_t ino; /* the name may mean another directory in the end */
	size_t length;
};

/* One of the file system's own unnamed files, so that a million directories are on disk and not in
 * memory. */
static FILE *open_times(int root)
{
	int fd = openat(root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	FILE *file;

	if (fd < 0)
		fd = memfd_create("directory times", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "w+");
	if (!file)
		close(fd);
	return file;
}

int fb_meta_defer(struct fb_place *place, int fd, const char *parent, const char *leaf,
		  const struct timespec times[2])
{
	struct deferred record = {.times = {times[0], times[1]}};
	char path[PATH_MAX + NAME_MAX + 2];
	struct stat st;

	if (!place->times)
		place->times = open_times(place->root);
	if (!place->times || fstat(fd, &st) < 0)
		return PLACE_FAIL(place, "open", errno, NULL);
	record.ino = st.st_ino;
	record.length =
	    (size_t)snprintf(path, sizeof(path), "%s%s%s", parent, *parent ? "/" : "", leaf) + 1;
	if (fwrite(&record, sizeof(record), 1, place->times) != 1 ||
	    fwrite(path, record.length, 1, place->times) != 1)
		return PLACE_FAIL(place, "write", errno, NULL);
	return 0;
}

static int apply(struct fb_place *place, const struct deferred *record, const char *path)
{
	fb_auto_close int fd =
	    fb_place_open_path(place, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct stat st;

	/* Gone, or no directory any more: a later entry took its place. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != record->ino)
		return 0;
	place->blame.entry = path;
	return futimens(fd, record->times) < 0 ? PLACE_FAIL(place, "utimensat", errno, NULL) : 0;
}

int fb_meta_apply_deferred(struct fb_place *place)
{
	char path[PATH_MAX + NAME_MAX + 2];
	struct deferred record;
	int r = 0;

	if (!place->times)
		return 0;
	place->blame.entry = NULL;
	if (fflush(place->times) != 0)
		return PLACE_FAIL(place, "write", errno, NULL);
	rewind(place->times);
	while (r == 0 && fread(&record, sizeof(record), 1, place->times) == 1) {
		if (record.length > sizeof(path) ||
		    fread(path, record.length, 1, place->times) != 1)
			return PLACE_FAIL(place, "read", EIO, NULL);
		r = apply(place, &record, path);
	}
	place->blame.entry = NULL;
	if (r == 0 && ferror(place->times))
		return PLACE_FAIL(place, "read", EIO, NULL);
	return r;
}
