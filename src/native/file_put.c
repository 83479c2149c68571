#include "file_put.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "copy_attributes.h"
#include "copy_data.h"
#include "times.h"

#define TRIES 16 /* somebody may make a name again that we removed, but not for ever */

#define FAIL_FROM(putter, entry, code, call, detail)                                               \
	FB_FAIL_CODE((putter)->err, FB_STAGE_WRITE, (code), (call), (entry)->source, (detail))
#define FAIL_TO(putter, entry, code, call, detail)                                                 \
	FB_FAIL_CODE((putter)->err, FB_STAGE_WRITE, (code), (call), (entry)->target, (detail))

struct fb_putter *fb_putter_open(int source, int target, struct fb_error *err)
{
	struct fb_putter *putter = malloc(sizeof(*putter));

	if (!putter) {
		(void)FB_FAIL_CODE(err, FB_STAGE_WRITE, ENOMEM, "malloc", NULL, NULL);
		return NULL;
	}
	fb_held_begin(&putter->from, source);
	fb_held_begin(&putter->to, target);
	putter->err = err;
	return putter;
}

void fb_putter_close(struct fb_putter *putter)
{
	if (!putter)
		return;
	fb_held_end(&putter->from);
	fb_held_end(&putter->to);
	free(putter);
}

static int changed(struct fb_putter *putter, const struct fb_copy_entry *entry)
{
	return FAIL_FROM(putter, entry, ESTALE, "copy", "changed while the build read it");
}

static uint32_t owner_of(const struct fb_copy_entry *entry, const struct stat *st)
{
	return entry->uid >= 0 ? (uint32_t)entry->uid : st->st_uid;
}

static uint32_t group_of(const struct fb_copy_entry *entry, const struct stat *st)
{
	return entry->gid >= 0 ? (uint32_t)entry->gid : st->st_gid;
}

static mode_t mode_of(const struct fb_copy_entry *entry, const struct stat *st)
{
	return (entry->mode >= 0 ? (mode_t)entry->mode : st->st_mode) & 07777;
}

/* `from` -1: of nothing, and no time. */
static int put_attributes(struct fb_putter *putter, const struct fb_copy_entry *entry, int from, const struct stat *st, int to)
{
	const struct timespec as_it_is = {.tv_nsec = UTIME_OMIT};
	const struct fb_attributes wanted = {
		.uid = owner_of(entry, st),
		.gid = group_of(entry, st),
		.mode = mode_of(entry, st),
		.xattrs = true,
		.times = {from >= 0 ? st->st_atim : as_it_is, from >= 0 ? st->st_mtim : as_it_is},
	};
	struct fb_error err;

	if (fb_copy_attributes(from, to, &wanted, &err) < 0)
		return FAIL_TO(putter, entry, err.code, err.call, NULL);
	return 0;
}

/* The directory that the target is in. */
static int parent_of(struct fb_putter *putter, const struct fb_copy_entry *entry, const char **ret_name)
{
	int parent = fb_held_parent(&putter->to, entry->target, ret_name);

	if (parent == -ELOOP)
		return FAIL_TO(putter, entry, ELOOP, "openat2", "a symbolic link on the way is not followed");
	return parent < 0 ? FAIL_TO(putter, entry, -parent, "openat2", NULL) : parent;
}

/* Room for what is no directory. */
static int clear(struct fb_putter *putter, const struct fb_copy_entry *entry, int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	return FAIL_TO(putter, entry, errno, "unlinkat",
		       errno == EISDIR ? "cannot overwrite directory with non-directory" : NULL);
}

/* The directory that the source is in. Whoever made the list went into directories only. */
static int source_parent(struct fb_putter *putter, const struct fb_copy_entry *entry, const char **ret_name)
{
	int parent = fb_held_parent(&putter->from, entry->source, ret_name);

	if (parent == -ELOOP || parent == -ENOTDIR)
		return changed(putter, entry);
	return parent < 0 ? FAIL_FROM(putter, entry, -parent, "openat2", NULL) : parent;
}

int fb_put_open(struct fb_putter *putter, const struct fb_copy_entry *entry, struct stat *ret_st)
{
	fb_auto_close int from = -1;
	const char *name;
	int parent = source_parent(putter, entry, &name);

	if (parent < 0)
		return parent;
	from = fb_held_open_file(&putter->from, entry->source, ret_st);
	if (from == -ELOOP || from == -EINVAL) /* a link or another kind */
		return changed(putter, entry);
	if (from < 0)
		return FAIL_FROM(putter, entry, -from, "openat", NULL);
	if (entry->ctime_ns && fb_nanoseconds(ret_st->st_ctim) != entry->ctime_ns)
		return changed(putter, entry);
	return fb_steal_fd(&from);
}

static int fill(struct fb_putter *putter, const struct fb_copy_entry *entry, int from, const struct stat *st, int to)
{
	struct fb_error err;
	struct stat after;
	uint64_t size;

	if (fb_copy_data(from, to, &size, &err) < 0)
		return FAIL_TO(putter, entry, err.code, err.call, NULL);
	if (entry->ctime_ns) {
		if (fstat(from, &after) < 0)
			return FAIL_FROM(putter, entry, errno, "fstat", NULL);
		if (fb_nanoseconds(after.st_ctim) != entry->ctime_ns)
			return changed(putter, entry);
	}
	return put_attributes(putter, entry, from, st, to);
}

int fb_put_file(struct fb_putter *putter, const struct fb_copy_entry *entry, int from, const struct stat *st, uint64_t *ret_size)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	fb_auto_close int to = -1;
	const char *name;
	int parent = parent_of(putter, entry, &name), r = 0;

	if (parent < 0)
		return parent;
	for (int i = 0; r == 0 && i < TRIES; i++) {
		to = openat(parent, name, flags, mode_of(entry, st) & 0777);
		if (to >= 0 || errno != EEXIST)
			break;
		r = clear(putter, entry, parent, name);
	}
	if (r < 0)
		return r;
	if (to < 0)
		return FAIL_TO(putter, entry, errno, "openat", NULL);
	r = fill(putter, entry, from, st, to);
	if (r < 0)
		(void)unlinkat(parent, name, 0);
	else
		*ret_size = (uint64_t)st->st_size;
	return r;
}

int fb_put_link(struct fb_putter *putter, const struct fb_copy_entry *entry, const char *first)
{
	fb_auto_close int there = -1;
	const char *of, *name;
	int parent = fb_held_parent(&putter->to, first, &of), r;

	if (parent < 0)
		return FAIL_TO(putter, entry, -parent, "openat2", NULL);
	/* By both names: to link what is held takes a capability of the host's. */
	there = fcntl(parent, F_DUPFD_CLOEXEC, 3);
	if (there < 0)
		return FAIL_TO(putter, entry, errno, "fcntl", NULL);
	parent = parent_of(putter, entry, &name);
	if (parent < 0)
		return parent;
	r = clear(putter, entry, parent, name);
	if (r < 0)
		return r;
	if (linkat(there, of, parent, name, 0) == 0)
		return 1;
	/* A file has only so many links, and none on another mount. */
	if (errno == EMLINK || errno == EXDEV || errno == EPERM)
		return 0;
	return FAIL_TO(putter, entry, errno, "linkat", NULL);
}

/* What is no file to be read, by its name: the source is held, so that all that is copied is of one file. */
static int put_attributes_at(struct fb_putter *putter, const struct fb_copy_entry *entry, const struct stat *st, int parent,
			     const char *name)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(parent, name, owner_of(entry, st), group_of(entry, st), AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL_TO(putter, entry, errno, "fchownat", NULL);
	if (!S_ISLNK(st->st_mode) && fchmodat(parent, name, mode_of(entry, st), AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL_TO(putter, entry, errno, "fchmodat", NULL);
	if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL_TO(putter, entry, errno, "utimensat", NULL);
	return 0;
}

static int make_other(struct fb_putter *putter, const struct fb_copy_entry *entry, int held, const struct stat *st, int parent,
		      const char *name)
{
	char text[PATH_MAX];
	ssize_t length;

	if (S_ISLNK(st->st_mode)) {
		length = readlinkat(held, "", text, sizeof(text) - 1);
		if (length < 0)
			return FAIL_FROM(putter, entry, errno, "readlinkat", NULL);
		text[length] = '\0';
		return symlinkat(text, parent, name) < 0 ? FAIL_TO(putter, entry, errno, "symlinkat", NULL) : 0;
	}
	/* To overlayfs, which a target becomes the lower of, that is a removal. */
	if (S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return FAIL_FROM(putter, entry, EINVAL, "mknodat", "a character device 0:0");
	if (mknodat(parent, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0)
		return FAIL_TO(putter, entry, errno, "mknodat", NULL);
	return 0;
}

int fb_put_other(struct fb_putter *putter, const struct fb_copy_entry *entry)
{
	fb_auto_close int held = -1;
	const char *name;
	struct stat st;
	int parent = source_parent(putter, entry, &name), r;

	if (parent < 0)
		return parent;
	held = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (held < 0 || fstat(held, &st) < 0)
		return FAIL_FROM(putter, entry, errno, "openat", NULL);
	if ((st.st_mode & S_IFMT) != entry->kind)
		return changed(putter, entry);
	parent = parent_of(putter, entry, &name);
	if (parent < 0)
		return parent;
	r = clear(putter, entry, parent, name);
	if (r == 0)
		r = make_other(putter, entry, held, &st, parent, name);
	return r < 0 ? r : put_attributes_at(putter, entry, &st, parent, name);
}

int fb_put_directory(struct fb_putter *putter, const struct fb_copy_entry *entry)
{
	const char *name;
	struct stat st;
	int parent;

	if (fb_held_is_root(entry->target))
		return 0;
	parent = parent_of(putter, entry, &name);
	if (parent < 0)
		return parent;
	for (int i = 0; i < TRIES; i++) {
		if (mkdirat(parent, name, 0700) == 0)
			return 0;
		if (errno != EEXIST)
			break;
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			return 0;
		if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
			return FAIL_TO(putter, entry, errno, "unlinkat", NULL);
	}
	return FAIL_TO(putter, entry, errno, "mkdirat", NULL);
}

/* A descriptor of a directory, the root's for "." too, or -errno. */
static int open_directory(struct fb_held *held, const char *path)
{
	const char *name = ".";
	int parent = fb_held_is_root(path) ? held->root : fb_held_parent(held, path, &name), fd;

	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fb_put_directory_attributes(struct fb_putter *putter, const struct fb_copy_entry *entry)
{
	fb_auto_close int from = -1, to = open_directory(&putter->to, entry->target);
	struct stat st = {.st_mode = S_IFDIR | 0755};

	if (to < 0)
		return FAIL_TO(putter, entry, -to, "openat", NULL);
	if (*entry->source) {
		from = open_directory(&putter->from, entry->source);
		if (from == -ELOOP || from == -ENOTDIR)
			return changed(putter, entry);
		if (from < 0)
			return FAIL_FROM(putter, entry, -from, "openat", NULL);
		if (fstat(from, &st) < 0)
			return FAIL_FROM(putter, entry, errno, "fstat", NULL);
	}
	return put_attributes(putter, entry, from, &st, to);
}
