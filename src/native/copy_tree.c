#include "copy_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "copy_attributes.h"
#include "copy_data.h"
#include "inroot.h"
#include "links.h"
#include "made_up.h"

#define DEPTH_MAX 400 /* two descriptors and a frame each */
#define BLOCK ((uint64_t)512)

struct copier {
	struct fb_copy_options options;
	struct fb_copy_result result;
	int root; /* what `path` is below */
	char path[PATH_MAX];
	size_t length;
	unsigned depth;
	struct fb_links links;
	struct fb_xattr_room room;
	struct fb_error *err;
};

#define FAIL(copier, code, call, detail)                                                           \
	FB_FAIL_CODE((copier)->err, FB_STAGE_WRITE, (code), (call), (copier)->path, (detail))

static uint32_t owner_of(const struct copier *copier, const struct stat *st)
{
	return copier->options.own ? copier->options.uid : st->st_uid;
}

static uint32_t group_of(const struct copier *copier, const struct stat *st)
{
	return copier->options.own ? copier->options.gid : st->st_gid;
}

static int take_attributes(struct copier *copier, int from, const struct stat *st, int to)
{
	const struct fb_attributes wanted = {
		.uid = owner_of(copier, st),
		.gid = group_of(copier, st),
		.mode = st->st_mode & 07777,
		.xattrs = copier->options.xattrs,
		.times = {st->st_atim, st->st_mtim},
	};
	struct fb_error err;

	if (fb_copy_attributes(from, to, &wanted, &copier->room, &err) < 0)
		return FAIL(copier, err.code, err.call, NULL);
	return 0;
}

static int take_attributes_at(struct copier *copier, const struct stat *st, int dirfd, const char *name)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(dirfd, name, owner_of(copier, st), group_of(copier, st), AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "fchownat", NULL);
	/* libc holds a node by O_PATH for this, which does not open the device. */
	if (!S_ISLNK(st->st_mode) && fchmodat(dirfd, name, st->st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "fchmodat", NULL);
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "utimensat", NULL);
	return 0;
}

static int refuse_directory(struct copier *copier)
{
	return FAIL(copier, EISDIR, "copy", "cannot overwrite directory with non-directory");
}

/* Room for what is no directory. */
static int clear(struct copier *copier, int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR ? refuse_directory(copier) : FAIL(copier, errno, "unlinkat", NULL);
}

/* What is held is meant, not what has its name now. */
static int open_held(int held)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	fd = open(path, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

static int write_file(struct copier *copier, int held, const struct stat *st, int to)
{
	fb_auto_close int from = open_held(held);
	struct fb_error err;
	uint64_t size = 0;

	if (from < 0)
		return FAIL(copier, errno, "open", NULL);
	if (fb_copy_data(from, to, &size, &err) < 0)
		return FAIL(copier, err.code, err.call, NULL);
	copier->result.size += (size + BLOCK - 1) / BLOCK * BLOCK;
	return take_attributes(copier, from, st, to);
}

/* What is there is replaced by one rename, when the new one is whole. */
static int replace_file(struct copier *copier, int held, const struct stat *st, int dirfd, const char *name)
{
	fb_auto_close int to = -1;
	char temporary[32];
	struct stat there;
	uint64_t mark = 0;
	int r;

	if (fstatat(dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
		return refuse_directory(copier);
	if (getrandom(&mark, sizeof(mark), 0) < 0)
		return FAIL(copier, errno, "getrandom", NULL);
	snprintf(temporary, sizeof(temporary), ".fastbox-%016llx", (unsigned long long)mark);
	to = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return FAIL(copier, errno, "openat", NULL);
	r = write_file(copier, held, st, to);
	if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		r = errno == EISDIR ? refuse_directory(copier) : FAIL(copier, errno, "renameat", NULL);
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0);
	return r;
}

static int put_file(struct copier *copier, int held, const struct stat *st, int dirfd, const char *name)
{
	fb_auto_close int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (to < 0 && errno == EEXIST)
		return replace_file(copier, held, st, dirfd, name);
	if (to < 0)
		return FAIL(copier, errno, "openat", NULL);
	r = write_file(copier, held, st, to);
	if (r < 0)
		(void)unlinkat(dirfd, name, 0);
	return r;
}

/* 1: linked to what was copied first; 0: that is gone, or on another mount. */
static int put_link(struct copier *copier, const char *first, int dirfd, const char *name)
{
	fb_auto_close int target = fb_inroot_open(copier->root, first, O_PATH | O_NOFOLLOW, false);
	int r;

	if (target < 0)
		return 0;
	r = clear(copier, dirfd, name);
	if (r < 0)
		return r;
	return linkat(target, "", dirfd, name, AT_EMPTY_PATH) == 0;
}

static int put_symlink(struct copier *copier, int held, const struct stat *st, int dirfd, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(held, "", target, sizeof(target) - 1);
	int r = clear(copier, dirfd, name);

	if (length < 0)
		return FAIL(copier, errno, "readlinkat", NULL);
	target[length] = '\0';
	if (r == 0 && symlinkat(target, dirfd, name) < 0)
		return FAIL(copier, errno, "symlinkat", NULL);
	return r < 0 ? r : take_attributes_at(copier, st, dirfd, name);
}

static int put_node(struct copier *copier, const struct stat *st, int dirfd, const char *name)
{
	int r = clear(copier, dirfd, name);

	/* To overlayfs, which a target may be the upper of one day, that is a removal. */
	if (S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return FAIL(copier, EINVAL, "mknodat", "a character device 0:0");
	if (r == 0 && mknodat(dirfd, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0)
		return FAIL(copier, errno, "mknodat", NULL);
	return r < 0 ? r : take_attributes_at(copier, st, dirfd, name);
}

static int put(struct copier *copier, int held, dev_t above, int dirfd, const char *name);

static int put_entry(struct copier *copier, int from, const char *name, dev_t device, int to)
{
	fb_auto_close int held = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	size_t length = copier->length, more = strlen(name);
	int r;

	if (held < 0)
		return errno == ENOENT ? 0 : FAIL(copier, errno, "openat", NULL);
	if (length + more + 2 > sizeof(copier->path))
		return FAIL(copier, ENAMETOOLONG, "copy", NULL);
	if (length)
		copier->path[length] = '/';
	memcpy(copier->path + length + (length > 0), name, more + 1);
	copier->length = length + (length > 0) + more;
	r = put(copier, held, device, to, name);
	if (r == 0) {
		copier->length = length;
		copier->path[length] = '\0';
	}
	return r;
}

static int put_content(struct copier *copier, DIR *from, dev_t device, int to)
{
	struct dirent *entry;
	int r = 0;

	if (++copier->depth > DEPTH_MAX)
		return FAIL(copier, ELOOP, "copy", "directories nested more than 400 deep");
	while (r == 0 && (errno = 0, entry = readdir(from)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = put_entry(copier, dirfd(from), entry->d_name, device, to);
	copier->depth--;
	return r == 0 && errno ? FAIL(copier, errno, "readdir", NULL) : r;
}

static int open_directory(struct copier *copier, int dirfd, const char *name)
{
	int fd;

	if (strcmp(name, ".") != 0 && mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return FAIL(copier, errno, "mkdirat", NULL);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == ENOTDIR || errno == ELOOP)
		return FAIL(copier, ENOTDIR, "copy", "cannot overwrite non-directory with directory");
	return FAIL(copier, errno, "openat", NULL);
}

static int put_directory(struct copier *copier, int held, const struct stat *st, dev_t above, int parent,
			 const char *name)
{
	fb_auto_close int to = open_directory(copier, parent, name);
	fb_auto_close int from = openat(held, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fb_auto_dir DIR *dir = from < 0 ? NULL : fdopendir(from);
	int r = 0;

	if (to < 0)
		return to;
	if (!dir)
		return FAIL(copier, errno, "opendir", NULL);
	from = -1; /* it is the DIR's */
	if (st->st_dev == above || !fb_is_made_up(held))
		r = put_content(copier, dir, st->st_dev, to);
	return r < 0 ? r : take_attributes(copier, dirfd(dir), st, to);
}

static int put(struct copier *copier, int held, dev_t above, int dirfd, const char *name)
{
	const char *first = NULL;
	struct stat st;
	int r = 0;

	if (fstat(held, &st) < 0)
		return FAIL(copier, errno, "fstat", NULL);
	if (S_ISSOCK(st.st_mode))
		return 0;
	copier->result.entries++;
	copier->result.size += BLOCK;
	if (S_ISDIR(st.st_mode))
		return put_directory(copier, held, &st, above, dirfd, name);
	if (st.st_nlink > 1) {
		r = fb_links_note(&copier->links, &st, copier->path, &first);
		if (r < 0)
			return FAIL(copier, -r, "malloc", NULL);
		r = first ? put_link(copier, first, dirfd, name) : 0;
	}
	if (r)
		return r < 0 ? r : 0;
	if (S_ISREG(st.st_mode))
		return put_file(copier, held, &st, dirfd, name);
	return S_ISLNK(st.st_mode) ? put_symlink(copier, held, &st, dirfd, name)
				   : put_node(copier, &st, dirfd, name);
}

int fb_copy_tree(int source, int dirfd, const char *name, const struct fb_copy_options *options,
		 struct fb_copy_result *ret_result, struct fb_error *err)
{
	fb_auto_free struct copier *copier = calloc(1, sizeof(*copier));
	struct stat st;
	int r;

	if (!copier)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, ENOMEM, "malloc", name, NULL);
	copier->options = *options;
	copier->root = dirfd;
	copier->err = err;
	if (strcmp(name, ".") != 0) {
		copier->length = strlen(name);
		if (copier->length > NAME_MAX)
			return FAIL(copier, ENAMETOOLONG, "copy", NULL);
		memcpy(copier->path, name, copier->length + 1);
	}
	if (fstat(source, &st) < 0)
		return FAIL(copier, errno, "fstat", NULL);
	if (fb_is_made_up(source))
		return FAIL(copier, EOPNOTSUPP, "copy", "the kernel makes it up as it is read");
	r = put(copier, source, st.st_dev, dirfd, name);
	fb_links_free(&copier->links);
	if (r < 0)
		return r;
	copier->result.size += 2 * BLOCK; /* the end of a tar */
	*ret_result = copier->result;
	return 0;
}
