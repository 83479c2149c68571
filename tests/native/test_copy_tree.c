/* fb_copy_tree: every kind of file, what gives way to what, and links that must not be followed. */
#include "copy_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"

static char base[] = "/dev/shm/fastbox-test-copy-XXXXXX";
static struct fb_error err;
static int from, to;

static void put(int dirfd, const char *name, const char *text)
{
	fb_auto_close int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static bool holds(int dirfd, const char *name, const char *text)
{
	fb_auto_close int fd = openat(dirfd, name, O_RDONLY);
	char data[64] = "";

	return fd >= 0 && read(fd, data, sizeof(data) - 1) >= 0 && strcmp(data, text) == 0;
}

static int copy(const char *name, const char *as, const struct fb_copy_options *options)
{
	static const struct fb_copy_options none;
	fb_auto_close int held = openat(from, name, O_PATH | O_NOFOLLOW);
	struct fb_copy_result result;

	CHECK(held >= 0);
	return fb_copy_tree(held, to, as, options ? options : &none, &result, &err);
}

static void test_kinds(void)
{
	const struct fb_copy_options owned = {.own = true, .uid = 7, .gid = 8, .xattrs = true};
	struct stat st, other;
	int tree;

	CHECK(mkdirat(from, "tree", 0755) == 0);
	tree = openat(from, "tree", O_RDONLY | O_DIRECTORY);
	put(tree, "file", "text");
	CHECK(fchownat(tree, "file", 5, 6, 0) == 0 && fchmodat(tree, "file", 04751, 0) == 0);
	CHECK(linkat(tree, "file", tree, "second", 0) == 0);
	CHECK(symlinkat("/nowhere", tree, "link") == 0);
	CHECK(mkfifoat(tree, "fifo", 0600) == 0);
	CHECK(mknodat(tree, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CHECK(mkdirat(tree, "inner", 01777) == 0);
	close(tree);
	CHECK(copy("tree", "copy", NULL) == 0);
	CHECK(holds(to, "copy/file", "text"));
	CHECK(fstatat(to, "copy/file", &st, 0) == 0 && st.st_uid == 5 && st.st_mode == (S_IFREG | 04751));
	CHECK(fstatat(to, "copy/second", &other, 0) == 0 && other.st_ino == st.st_ino);
	CHECK(fstatat(to, "copy/link", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
	CHECK(fstatat(to, "copy/fifo", &st, 0) == 0 && S_ISFIFO(st.st_mode));
	CHECK(fstatat(to, "copy/null", &st, 0) == 0 && st.st_rdev == makedev(1, 3));
	CHECK(copy("tree", "owned", &owned) == 0);
	CHECK(fstatat(to, "owned/file", &st, 0) == 0 && st.st_uid == 7 && st.st_gid == 8);
	CHECK(copy("tree", "copy", NULL) == 0); /* over itself */
	CHECK(holds(to, "copy/second", "text"));
}

static void test_what_gives_way(void)
{
	struct stat st;

	put(from, "new", "new");
	put(to, "canary", "canary");
	CHECK(symlinkat("canary", to, "way") == 0);
	CHECK(copy("new", "way", NULL) == 0); /* replaced, not followed */
	CHECK(holds(to, "canary", "canary") && holds(to, "way", "new"));
	CHECK(mkdirat(to, "directory", 0755) == 0);
	CHECK(copy("new", "directory", NULL) == -EISDIR);
	CHECK(copy("tree", "canary", NULL) == -ENOTDIR);
	CHECK(symlinkat("directory", to, "to-directory") == 0);
	CHECK(copy("tree", "to-directory", NULL) == -ENOTDIR);
	CHECK(fstatat(to, "directory/file", &st, 0) < 0);
	CHECK(holds(to, "canary", "canary"));
}

static void test_refusals(void)
{
	fb_auto_close int proc = open("/proc/self", O_PATH);
	const struct fb_copy_options none = {0};
	struct fb_copy_result result;

	CHECK(fb_copy_tree(proc, to, "proc", &none, &result, &err) == -EOPNOTSUPP);
	CHECK(faccessat(to, "proc", F_OK, 0) < 0);
}

static void test_holes(void)
{
	fb_auto_close int fd = openat(from, "holes", O_WRONLY | O_CREAT, 0600);
	struct stat st;

	CHECK(ftruncate(fd, 64 << 20) == 0 && pwrite(fd, "x", 1, 32 << 20) == 1);
	CHECK(copy("holes", "holes", NULL) == 0);
	CHECK(fstatat(to, "holes", &st, 0) == 0 && st.st_size == 64 << 20 && st.st_blocks < 4096);
}

#define MANY 400

static void make_many(void)
{
	char name[32], text[32];
	int tree;

	CHECK(mkdirat(from, "many", 0751) == 0);
	tree = openat(from, "many", O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(tree, "inner", 0700) == 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s%d", i % 2 ? "inner/" : "", i);
		snprintf(text, sizeof(text), "text of %d", i);
		put(tree, name, text);
		CHECK(fchownat(tree, name, (uid_t)i, (gid_t)i + 1, 0) == 0);
		CHECK(fchmodat(tree, name, i % 3 ? 0604 : 02750, 0) == 0);
	}
	CHECK(fsetxattr(tree, "user.note", "kept", 4, 0) == 0 || errno == ENOTSUP);
	CHECK(futimens(tree, (struct timespec[2]){{.tv_sec = 1000}, {.tv_sec = 2000, .tv_nsec = 7}}) == 0);
	close(tree);
}

static void check_many(const char *below)
{
	char name[64], text[32];
	struct stat st;

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s/%s%d", below, i % 2 ? "inner/" : "", i);
		snprintf(text, sizeof(text), "text of %d", i);
		CHECK(holds(to, name, text));
		CHECK(fstatat(to, name, &st, 0) == 0 && st.st_uid == (uid_t)i && st.st_gid == (gid_t)i + 1);
		CHECK((st.st_mode & 07777) == (i % 3 ? 0604 : 02750));
	}
	/* What the threads put into it changes its time no more. */
	CHECK(fstatat(to, below, &st, 0) == 0 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
	CHECK((st.st_mode & 07777) == 0751);
}

static int count_descriptors(void)
{
	fb_auto_dir DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	return count;
}

static void test_many(void)
{
	fb_auto_close int made = -1;
	struct fb_copy_result result;
	const struct fb_copy_options none = {0};
	fb_auto_close int held = -1;
	struct dirent *entry;
	fb_auto_dir DIR *dir = NULL;
	int before;

	make_many();
	held = openat(from, "many", O_PATH);
	before = count_descriptors();
	CHECK(fb_copy_tree(held, to, "made", &none, &result, &err) == 0);
	CHECK(result.entries == MANY + 2 && result.size == (MANY * 2 + 2 + 2) * 512);
	check_many("made");
	CHECK(fb_copy_tree(held, to, "made", &none, &result, &err) == 0); /* each replaced */
	check_many("made");
	/* Of several threads that fail the path of one is told, and nothing is left of what was begun. */
	CHECK(unlinkat(to, "made/118", 0) == 0 && mkdirat(to, "made/118", 0700) == 0);
	CHECK(fb_copy_tree(held, to, "made", &none, &result, &err) == -EISDIR);
	CHECK(strcmp(err.path, "made/118") == 0 && strstr(err.detail, "non-directory"));
	CHECK(count_descriptors() == before);
	made = openat(to, "made", O_RDONLY | O_DIRECTORY);
	dir = fdopendir(fb_steal_fd(&made));
	while ((entry = readdir(dir)))
		CHECK(strncmp(entry->d_name, ".fastbox-", 9) != 0);
}

/* A file on either side of what is copied by one read, over one that is longer. */
static void test_sizes(void)
{
	static const size_t sizes[] = {0, 1, 65536, 65537, 3 << 20};
	fb_auto_free char *data = malloc(4 << 20), *back = malloc(4 << 20);

	for (size_t i = 0; i < 4 << 20; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fb_auto_close int fd = openat(from, "sized", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		fb_auto_close int there = openat(to, "sized", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		fb_auto_close int copied = -1;

		CHECK(write(there, data + 1, (4 << 20) - 1) == (4 << 20) - 1);
		CHECK(write(fd, data, sizes[i]) == (ssize_t)sizes[i]);
		CHECK(copy("sized", "sized", NULL) == 0);
		copied = openat(to, "sized", O_RDONLY);
		CHECK(read(copied, back, 4 << 20) == (ssize_t)sizes[i] && memcmp(data, back, sizes[i]) == 0);
	}
}

int main(void)
{
	fb_auto_close int tmp = -1;
	char path[sizeof(base) + 8];

	if (geteuid() != 0 || !mkdtemp(base))
		return 77;
	snprintf(path, sizeof(path), "%s/from", base);
	CHECK(mkdir(path, 0755) == 0 && (from = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	snprintf(path, sizeof(path), "%s/to", base);
	CHECK(mkdir(path, 0755) == 0 && (to = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	test_kinds();
	test_what_gives_way();
	test_refusals();
	test_holes();
	test_many();
	test_sizes();
	tmp = open("/dev/shm", O_RDONLY | O_DIRECTORY);
	CHECK(fb_remove_tree(tmp, base + 9, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
