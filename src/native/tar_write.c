/* The walk: every entry is held by a descriptor before anything is asked of it, so that what is
 * said of it and what is read are the same file's. */
#include "tar_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "inroot.h"
#include "made_up.h"
#include "tar_writer.h"

#define DEFAULT_ENTRIES ((uint64_t)10000000)
#define HELD_LEVELS 64 /* directories kept open; a deeper one's is closed while its children are read */

struct names { /* of one directory */
	char *text;
	size_t length, room;
	const char **sorted;
	size_t count;
};

static void free_names(struct names *names)
{
	free(names->text);
	free(names->sorted);
}
#define auto_names __attribute__((cleanup(free_names)))

struct fb_held_path fb_held_path(int fd)
{
	struct fb_held_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

int fb_writer_emit(struct fb_writer *writer, struct fb_tar_entry *entry)
{
	const struct fb_write_options *options = &writer->options;

	if (++writer->entries > options->max_entries)
		return WRITE_FAIL(writer, EFBIG, "tar", "more entries than the limit");
	if (options->clamp && entry->mtime.tv_sec >= options->max_mtime)
		entry->mtime = (struct timespec){.tv_sec = options->max_mtime};
	entry->name = writer->path;
	return fb_emit_header(writer->pack, entry, writer->err);
}

static int add_name(struct names *names, const char *name)
{
	size_t length = strlen(name) + 1;

	if (names->length + length > names->room) {
		size_t room = (names->length + length) * 2 + 1024;
		char *grown = realloc(names->text, room);

		if (!grown)
			return -ENOMEM;
		names->text = grown;
		names->room = room;
	}
	memcpy(names->text + names->length, name, length);
	names->length += length;
	names->count++;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_names(struct names *names)
{
	const char *name = names->text;

	names->sorted = calloc(names->count + 1, sizeof(*names->sorted));
	if (!names->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < names->count; i++) {
		names->sorted[i] = name;
		name += strlen(name) + 1;
	}
	qsort(names->sorted, names->count, sizeof(*names->sorted), by_bytes);
	return 0;
}

static int read_names(struct fb_writer *writer, int fd, struct names *ret_names)
{
	fb_auto_close int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fb_auto_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : WRITE_FAIL(writer, errno, "opendir", NULL);
	own = -1;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add_name(ret_names, entry->d_name);
	if (r == 0 && errno && errno != ENOENT)
		return WRITE_FAIL(writer, errno, "readdir", NULL);
	if (r == 0 && ret_names->count)
		r = sort_names(ret_names);
	return r < 0 ? WRITE_FAIL(writer, -r, "malloc", NULL) : 0;
}

static int set_path(struct fb_writer *writer, size_t parent, const char *name)
{
	size_t length = strlen(name), at = parent ? parent + 1 : 0;

	/* Room for a directory's "/". */
	if (at + length + 2 > sizeof(writer->path))
		return WRITE_FAIL(writer, ENAMETOOLONG, "tar", "a longer path than can be extracted");
	if (parent)
		writer->path[parent] = '/';
	memcpy(writer->path + at, name, length + 1);
	writer->length = at + length;
	return 0;
}

static void cut_path(struct fb_writer *writer, size_t length)
{
	writer->length = length;
	writer->path[length] = '\0';
}

static void fill(struct fb_tar_entry *entry, const struct stat *st)
{
	*entry = (struct fb_tar_entry){
	    .mode = st->st_mode & 07777,
	    .uid = st->st_uid,
	    .gid = st->st_gid,
	    .mtime = st->st_mtim,
	};
}

static int emit_directory(struct fb_writer *writer, struct fb_tar_entry *entry)
{
	size_t length = writer->length;
	int r;

	entry->type = FB_TAR_DIRECTORY;
	memcpy(writer->path + length, "/", 2);
	r = fb_writer_emit(writer, entry);
	cut_path(writer, length);
	return r;
}

/* Something is mounted there: what it is mounted on can't be seen, but that it is a directory or a
 * file. */
static int emit_mount(struct fb_writer *writer, int dirfd, const char *name)
{
	struct fb_tar_entry entry;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return errno == ENOENT ? 0 : WRITE_FAIL(writer, errno, "fstatat", NULL);
	fill(&entry, &st);
	if (S_ISDIR(st.st_mode))
		return emit_directory(writer, &entry);
	entry.type = FB_TAR_FILE;
	return fb_writer_emit(writer, &entry);
}

static int emit_symlink(struct fb_writer *writer, int held, struct fb_tar_entry *entry)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(held, "", target, sizeof(target) - 1);

	if (length < 0)
		return WRITE_FAIL(writer, errno, "readlinkat", NULL);
	target[length] = '\0';
	entry->type = FB_TAR_SYMLINK;
	entry->link = target;
	return fb_writer_emit(writer, entry);
}

static int emit_node(struct fb_writer *writer, const struct stat *st, struct fb_tar_entry *entry)
{
	entry->type = S_ISFIFO(st->st_mode)  ? FB_TAR_FIFO
		      : S_ISCHR(st->st_mode) ? FB_TAR_CHAR
					     : FB_TAR_BLOCKDEV;
	if (entry->type != FB_TAR_FIFO) {
		entry->major = major(st->st_rdev);
		entry->minor = minor(st->st_rdev);
	}
	return fb_writer_emit(writer, entry);
}

/* Of a file whose metadata alone is in the upper, the merged tree has size and data. */
static int emit_file(struct fb_writer *writer, int held, const struct stat *st,
		     const struct fb_marks *marks, struct fb_tar_entry *entry)
{
	fb_auto_close int merged = -1;
	struct stat below = *st;

	entry->type = FB_TAR_FILE;
	if (marks->metacopy) {
		merged = fb_changes_merged(writer);
		if (merged < 0)
			return merged;
		if (fstat(merged, &below) < 0)
			return WRITE_FAIL(writer, errno, "fstat", NULL);
		if (!S_ISREG(below.st_mode))
			return WRITE_FAIL(writer, ESTALE, "tar", "the merged tree has another file");
	}
	entry->size = (uint64_t)below.st_size;
	return fb_writer_file(writer, merged < 0 ? held : merged, entry);
}

static int emit_link(struct fb_writer *writer, const char *first, struct fb_tar_entry *entry)
{
	entry->type = FB_TAR_LINK;
	entry->link = first;
	entry->xattr_count = 0;
	return fb_writer_emit(writer, entry);
}

/* Below the levels that are kept open, `*dirfd`, which holds this directory, is closed. */
static int walk_into(struct fb_writer *writer, int *dirfd, int *held, const struct fb_marks *marks)
{
	fb_auto_close int fd = openat(*held, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : WRITE_FAIL(writer, errno, "openat", NULL);
	fb_cleanup_fd(held);
	if (writer->depth > HELD_LEVELS)
		fb_cleanup_fd(dirfd);
	if (marks->redirect)
		return fb_changes_redirected(writer);
	if (marks->opaque)
		r = fb_changes_opaque(writer);
	return r < 0 ? r : fb_writer_directory(writer, &fd);
}

static bool is_whiteout(const struct fb_writer *writer, const struct stat *st,
			const struct fb_marks *marks)
{
	if (!writer->changes)
		return false;
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	return S_ISREG(st->st_mode) && st->st_size == 0 && marks->whiteout;
}

/* Neither a file that a container named like a removal, nor the engine's own stub. */
static int check_name(struct fb_writer *writer, const char *name, const struct stat *st)
{
	const char *stub = writer->options.stub;

	if (writer->options.layer && strncmp(name, ".wh.", 4) == 0)
		return WRITE_FAIL(writer, EINVAL, "tar", "a name that removes another in a layer");
	return stub && st->st_size == 0 && S_ISREG(st->st_mode) && strcmp(stub, writer->path) == 0;
}

static int emit_held(struct fb_writer *writer, int *dirfd, int *held, const char *name)
{
	struct fb_marks marks = {0};
	const char *first = NULL;
	struct fb_tar_entry entry;
	struct stat st;
	int r;

	if (fstat(*held, &st) < 0)
		return WRITE_FAIL(writer, errno, "fstat", NULL);
	if (S_ISSOCK(st.st_mode))
		return 0;
	fill(&entry, &st);
	/* A link has none of those that are written. */
	r = S_ISLNK(st.st_mode) ? 0 : fb_writer_xattrs(writer, *held, &entry, &marks);
	if (r < 0)
		return r;
	if (is_whiteout(writer, &st, &marks))
		return fb_changes_whiteout(writer);
	r = check_name(writer, name, &st);
	if (r != 0)
		return r < 0 ? r : 0;
	if (S_ISDIR(st.st_mode)) {
		r = emit_directory(writer, &entry);
		return r < 0 ? r : walk_into(writer, dirfd, held, &marks);
	}
	if (st.st_nlink > 1)
		r = fb_writer_link(writer, &st, &first);
	if (r < 0)
		return r;
	if (first)
		return emit_link(writer, first, &entry);
	if (S_ISREG(st.st_mode))
		return emit_file(writer, *held, &st, &marks, &entry);
	return S_ISLNK(st.st_mode) ? emit_symlink(writer, *held, &entry)
				   : emit_node(writer, &st, &entry);
}

/* What is mounted there, or -EXDEV when that is not wanted. */
static int step_across(struct fb_writer *writer, int dirfd, const char *name)
{
	fb_auto_close int held = -1;

	if (!writer->options.cross)
		return -EXDEV;
	held = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (held < 0)
		return -errno;
	return fb_is_made_up(held) ? -EXDEV : fb_steal_fd(&held);
}

static int emit_name(struct fb_writer *writer, int *dirfd, const char *name)
{
	fb_auto_close int held = fb_inroot_step(*dirfd, name, O_PATH);

	if (held == -EXDEV)
		held = step_across(writer, *dirfd, name);
	if (held == -ENOENT)
		return 0;
	if (held == -EXDEV)
		return emit_mount(writer, *dirfd, name);
	if (held < 0)
		return WRITE_FAIL(writer, -held, "openat2", NULL);
	return emit_held(writer, dirfd, &held, name);
}

/* The directory of the current path again, if it is still the same. -ENOENT: it is not. */
static int open_again(struct fb_writer *writer, const struct stat *was)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	const char *path = writer->path + writer->prefix + (writer->path[writer->prefix] == '/');
	fb_auto_close int fd = writer->options.cross
				   ? fb_inroot_open(writer->root, path, flags, true)
				   : fb_inroot_stay(writer->root, path, flags);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != was->st_dev || st.st_ino != was->st_ino)
		return -ENOENT;
	return fb_steal_fd(&fd);
}

int fb_writer_directory(struct fb_writer *writer, int *fd)
{
	size_t parent = writer->length;
	auto_names struct names names = {0};
	struct stat st;
	int r = read_names(writer, *fd, &names);

	if (r == 0 && fstat(*fd, &st) < 0)
		r = WRITE_FAIL(writer, errno, "fstat", NULL);
	writer->depth++;
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		if (*fd < 0 && (*fd = open_again(writer, &st)) < 0)
			break; /* moved away or removed: what is left of it vanished with it */
		r = set_path(writer, parent, names.sorted[i]);
		if (r == 0)
			r = emit_name(writer, fd, names.sorted[i]);
		if (r == 0)
			cut_path(writer, parent);
	}
	writer->depth--;
	return r;
}

/* Of the root itself, as of what is in it; `name` NULL: of that alone. */
static int write_from(struct fb_writer *writer, const char *name)
{
	fb_auto_close int fd = -1;
	int r;

	if (name) {
		int none = -1;

		fd = fcntl(writer->root, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return WRITE_FAIL(writer, errno, "fcntl", NULL);
		r = set_path(writer, 0, name);
		writer->prefix = writer->length;
		return r < 0 ? r : emit_held(writer, &none, &fd, name);
	}
	fd = openat(writer->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? WRITE_FAIL(writer, errno, "openat", NULL) : fb_writer_directory(writer, &fd);
}

static int write_all(int root, const char *name, int merged, bool changes, struct fb_pack *pack,
		     const struct fb_write_options *options, uint64_t *ret_entries,
		     struct fb_error *err)
{
	fb_auto_free struct fb_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, ENOMEM, "malloc", NULL, NULL);
	*writer = (struct fb_writer){.pack = pack,
				     .options = *options,
				     .root = root,
				     .merged = merged,
				     .changes = changes,
				     .err = err};
	writer->options.layer |= changes;
	if (!writer->options.max_entries)
		writer->options.max_entries = DEFAULT_ENTRIES;
	r = write_from(writer, name);
	if (r == 0)
		r = fb_emit_end(pack, err);
	if (r == 0)
		*ret_entries = writer->entries;
	fb_links_free(&writer->links);
	free(writer->xattrs.names);
	free(writer->xattrs.values);
	free(writer->segments);
	return r;
}

int fb_write_tree(int root, struct fb_pack *pack, const struct fb_write_options *options,
		  uint64_t *ret_entries, struct fb_error *err)
{
	return write_all(root, NULL, -1, false, pack, options, ret_entries, err);
}

int fb_write_changes(int upper, int merged, struct fb_pack *pack,
		     const struct fb_write_options *options, uint64_t *ret_entries,
		     struct fb_error *err)
{
	return write_all(upper, NULL, merged, true, pack, options, ret_entries, err);
}

int fb_write_item(int held, const char *name, struct fb_pack *pack,
		  const struct fb_write_options *options, uint64_t *ret_entries,
		  struct fb_error *err)
{
	return write_all(held, name, -1, false, pack, options, ret_entries, err);
}
