#include "copy_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "copy_attributes.h"
#include "copy_regular.h"
#include "inroot.h"
#include "links.h"
#include "made_up.h"
#include "pool.h"
#include "thread.h"

#define DEPTH_MAX 400 /* two descriptors and a frame each */
#define BLOCK ((uint64_t)512)

struct copier {
	struct fb_copy_options options;
	uint64_t entries;
	_Atomic uint64_t size;
	int root; /* what `path` is below */
	char path[PATH_MAX];
	size_t length;
	unsigned depth;
	struct fb_links links;
	struct fb_error *err; /* not of the threads */
	struct fb_pool *pool; /* NULL: no threads */
	atomic_bool failed;
	struct fb_error failure; /* of the first that failed */
};

#define FAIL(copier, code, call, detail)                                                           \
	FB_FAIL_CODE((copier)->err, FB_STAGE_WRITE, (code), (call), (copier)->path, (detail))

static struct fb_attributes wanted_of(const struct copier *copier, const struct stat *st)
{
	const struct fb_copy_options *options = &copier->options;

	return (struct fb_attributes){
		.uid = options->own ? options->uid : st->st_uid,
		.gid = options->own ? options->gid : st->st_gid,
		.mode = st->st_mode & 07777,
		.xattrs = options->xattrs,
		.times = {st->st_atim, st->st_mtim},
	};
}

static int take_attributes_at(struct copier *copier, const struct stat *st, int dirfd, const char *name)
{
	const struct fb_attributes wanted = wanted_of(copier, st);

	if (fchownat(dirfd, name, wanted.uid, wanted.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "fchownat", NULL);
	/* libc holds a node by O_PATH for this, which does not open the device. */
	if (!S_ISLNK(st->st_mode) && fchmodat(dirfd, name, wanted.mode, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "fchmodat", NULL);
	if (utimensat(dirfd, name, wanted.times, AT_SYMLINK_NOFOLLOW) < 0)
		return FAIL(copier, errno, "utimensat", NULL);
	return 0;
}

/* Files of a directory, by threads: in the order of their names nobody is interested. */
struct file {
	struct fb_job job;
	struct copier *copier;
	int held, dirfd; /* `dirfd` is whose directory it is, who waits for the threads before closing it */
	struct stat st;
	const char *name; /* the end of `path` */
	char path[];
};

static int copy_file(struct copier *copier, int held, const struct stat *st, int dirfd, const char *name, const char *path,
		     struct fb_error *err)
{
	const struct fb_attributes wanted = wanted_of(copier, st);
	struct fb_error inner;
	uint64_t size = 0;

	if (fb_copy_regular(held, st, &wanted, dirfd, name, &size, &inner) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, inner.code, inner.call, path, inner.detail);
	copier->size += (size + BLOCK - 1) / BLOCK * BLOCK;
	return 0;
}

static void run_file(struct fb_job *job)
{
	struct file *file = (struct file *)job;
	struct copier *copier = file->copier;
	struct fb_error err;

	if (!copier->failed && copy_file(copier, file->held, &file->st, file->dirfd, file->name, file->path, &err) < 0 &&
	    !atomic_exchange(&copier->failed, true))
		copier->failure = err;
	close(file->held);
	free(file);
}

static int put_file(struct copier *copier, int *held, const struct stat *st, int dirfd, const char *name)
{
	struct file *file;

	if (!copier->pool || st->st_nlink > 1) /* what gets more names must be there when they come */
		return copy_file(copier, *held, st, dirfd, name, copier->path, copier->err);
	file = malloc(sizeof(*file) + copier->length + 1);
	if (!file)
		return FAIL(copier, ENOMEM, "malloc", NULL);
	*file = (struct file){.job.run = run_file, .copier = copier, .held = fb_steal_fd(held), .dirfd = dirfd, .st = *st};
	memcpy(file->path, copier->path, copier->length + 1);
	file->name = file->path + copier->length - strlen(name);
	fb_pool_submit(copier->pool, &file->job);
	return 0;
}

/* After this a directory can be closed. */
static int await_files(struct copier *copier, int r)
{
	if (copier->pool)
		fb_pool_drain(copier->pool);
	if (r < 0 || !copier->failed)
		return r;
	*copier->err = copier->failure;
	return -copier->failure.code;
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

static int put(struct copier *copier, int *held, dev_t above, int dirfd, const char *name);

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
	r = put(copier, &held, device, to, name);
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
	while (r == 0 && !copier->failed && (errno = 0, entry = readdir(from)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = put_entry(copier, dirfd(from), entry->d_name, device, to);
	if (r == 0 && !copier->failed && errno)
		r = FAIL(copier, errno, "readdir", NULL);
	copier->depth--;
	return await_files(copier, r);
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
	const struct fb_attributes wanted = wanted_of(copier, st);
	struct fb_error err;
	int r = 0;

	if (to < 0)
		return to;
	if (!dir)
		return FAIL(copier, errno, "opendir", NULL);
	from = -1; /* it is the DIR's */
	if (st->st_dev == above || !fb_is_made_up(held))
		r = put_content(copier, dir, st->st_dev, to);
	if (r < 0)
		return r;
	if (fb_copy_attributes(dirfd(dir), to, &wanted, &err) < 0)
		return FAIL(copier, err.code, err.call, NULL);
	return 0;
}

/* Who copies a file later takes it from `held`. */
static int put(struct copier *copier, int *held, dev_t above, int dirfd, const char *name)
{
	const char *first = NULL;
	struct stat st;
	int r = 0;

	if (fstat(*held, &st) < 0)
		return FAIL(copier, errno, "fstat", NULL);
	if (S_ISSOCK(st.st_mode))
		return 0;
	copier->entries++;
	copier->size += BLOCK;
	if (S_ISDIR(st.st_mode))
		return put_directory(copier, *held, &st, above, dirfd, name);
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
	return S_ISLNK(st.st_mode) ? put_symlink(copier, *held, &st, dirfd, name)
				   : put_node(copier, &st, dirfd, name);
}

int fb_copy_tree(int source, int dirfd, const char *name, const struct fb_copy_options *options,
		 struct fb_copy_result *ret_result, struct fb_error *err)
{
	fb_auto_free struct copier *copier = calloc(1, sizeof(*copier));
	fb_auto_close int held = fcntl(source, F_DUPFD_CLOEXEC, 3);
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
	if (held < 0 || fstat(held, &st) < 0)
		return FAIL(copier, errno, "fcntl", NULL);
	if (fb_is_made_up(source))
		return FAIL(copier, EOPNOTSUPP, "copy", "the kernel makes it up as it is read");
	if (S_ISDIR(st.st_mode) && fb_processors() > 1) /* if there are no more threads to be had, one does it all */
		(void)fb_pool_open(fb_processors() - 1, &copier->pool, NULL);
	r = put(copier, &held, st.st_dev, dirfd, name);
	fb_pool_close(copier->pool);
	fb_links_free(&copier->links);
	if (r < 0)
		return r;
	*ret_result = (struct fb_copy_result){
		.entries = copier->entries,
		.size = copier->size + 2 * BLOCK, /* the end of a tar */
	};
	return 0;
}
