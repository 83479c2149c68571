/* fb_copy_entries: every kind of file, what gives way to what, links that must not be followed, and a source that changes. */
#include "file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"
#include "times.h"

static char base[] = "/tmp/fastbox-test-entries-XXXXXX";
static struct fb_error err;
static struct fb_copied copied;
static int from, to;

#define ENTRY(path, as, of_kind) {.source = (path), .target = (as), .kind = (of_kind), .mode = -1, .uid = -1, .gid = -1}
#define COPY(...)                                                                                  \
	copy((const struct fb_copy_entry[]){__VA_ARGS__},                                          \
	     sizeof((const struct fb_copy_entry[]){__VA_ARGS__}) / sizeof(struct fb_copy_entry))

static int copy(const struct fb_copy_entry *entries, size_t count)
{
	memset(&err, 0, sizeof(err));
	return fb_copy_entries(from, to, entries, count, 3, &copied, &err);
}

static void put(int dirfd, const char *name, const char *text)
{
	fb_auto_close int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static bool holds(const char *name, const char *text)
{
	fb_auto_close int fd = openat(to, name, O_RDONLY | O_NOFOLLOW);
	char data[64] = "";

	return fd >= 0 && read(fd, data, sizeof(data) - 1) >= 0 && strcmp(data, text) == 0;
}

static struct stat at(int dirfd, const char *name)
{
	struct stat st = {0};

	CHECK(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st;
}

static bool same_time(const char *source, const char *target)
{
	return fb_nanoseconds(at(from, source).st_mtim) == fb_nanoseconds(at(to, target).st_mtim);
}

static void test_kinds(void)
{
	const struct timespec past[2] = {{.tv_sec = 5}, {.tv_sec = 1000, .tv_nsec = 7}};
	struct stat st;

	CHECK(mkdirat(from, "tree", 01751) == 0);
	put(from, "tree/file", "text");
	CHECK(fchownat(from, "tree/file", 5, 6, 0) == 0 && fchmodat(from, "tree/file", 04751, 0) == 0);
	CHECK(symlinkat("/nowhere", from, "tree/link") == 0 && mkfifoat(from, "tree/fifo", 0600) == 0);
	CHECK(mknodat(from, "tree/null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CHECK(mknodat(from, "tree/sock", S_IFSOCK | 0600, 0) == 0);
	CHECK(utimensat(from, "tree/file", past, 0) == 0 && utimensat(from, "tree/link", past, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(utimensat(from, "tree", past, 0) == 0);
	CHECK(COPY(ENTRY("tree", "copy", S_IFDIR), ENTRY("tree/fifo", "copy/fifo", S_IFIFO), ENTRY("tree/file", "copy/file", S_IFREG),
		   ENTRY("tree/link", "copy/link", S_IFLNK), ENTRY("tree/null", "copy/null", S_IFCHR),
		   ENTRY("tree/sock", "copy/sock", S_IFSOCK)) == 0);
	CHECK(copied.entries == 5 && copied.bytes == 4);
	st = at(to, "copy/file");
	CHECK(holds("copy/file", "text") && st.st_uid == 5 && st.st_gid == 6 && st.st_mode == (S_IFREG | 04751));
	CHECK(same_time("tree/file", "copy/file") && same_time("tree/link", "copy/link") && same_time("tree", "copy"));
	CHECK(S_ISLNK(at(to, "copy/link").st_mode) && S_ISFIFO(at(to, "copy/fifo").st_mode));
	CHECK(at(to, "copy/null").st_rdev == makedev(1, 3) && at(to, "copy").st_mode == (S_IFDIR | 01751));
	CHECK(faccessat(to, "copy/sock", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

static void test_owner_and_mode(void)
{
	struct fb_copy_entry entries[] = {
		{.source = "tree", .target = "owned", .kind = S_IFDIR, .mode = 0700, .uid = 7, .gid = -1},
		{.source = "tree/file", .target = "owned/file", .kind = S_IFREG, .mode = 06711, .uid = 7, .gid = 8},
		{.source = "tree/link", .target = "owned/link", .kind = S_IFLNK, .mode = 0600, .uid = -1, .gid = 8},
		{.source = "", .target = "owned/made", .kind = S_IFDIR, .mode = -1, .uid = -1, .gid = 9},
		{.source = ".", .target = ".", .kind = S_IFDIR, .mode = 0711, .uid = -1, .gid = -1},
	};
	struct stat st;

	CHECK(copy(entries, 5) == 0);
	st = at(to, "owned");
	CHECK(st.st_uid == 7 && st.st_gid == 0 && st.st_mode == (S_IFDIR | 0700));
	st = at(to, "owned/file");
	CHECK(st.st_uid == 7 && st.st_gid == 8 && st.st_mode == (S_IFREG | 06711));
	CHECK(at(to, "owned/link").st_gid == 8);
	st = at(to, "owned/made");
	CHECK(st.st_uid == 0 && st.st_gid == 9 && st.st_mode == (S_IFDIR | 0755));
	CHECK(at(to, ".").st_mode == (S_IFDIR | 0711));
}

static void test_xattrs(void)
{
	char value[64] = "";
	uint32_t acl[] = {2, 0x00060001, 0xffffffff, 0x00040002, 77, 0x00040004, 0xffffffff, 0x00040010, 0xffffffff, 0x00000020, 0xffffffff};
	fb_auto_close int fd = -1;
	struct fb_copy_entry entries[] = {ENTRY("marked", "marked", S_IFDIR), ENTRY("marked/file", "marked/file", S_IFREG)};

	CHECK(mkdirat(from, "marked", 0755) == 0);
	put(from, "marked/file", "x");
	fd = openat(from, "marked/file", O_RDONLY);
	if (fsetxattr(fd, "user.key", "value", 5, 0) < 0)
		return;
	CHECK(fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) == 0 && fsetxattr(fd, "trusted.key", "v", 1, 0) == 0);
	fb_cleanup_fd(&fd);
	fd = openat(from, "marked", O_RDONLY);
	CHECK(fsetxattr(fd, "system.posix_acl_default", acl, sizeof(acl), 0) == 0 || errno == ENOTSUP);
	fb_cleanup_fd(&fd);
	CHECK(copy(entries, 2) == 0);
	fd = openat(to, "marked/file", O_RDONLY);
	CHECK(fgetxattr(fd, "user.key", value, sizeof(value)) == 5 && memcmp(value, "value", 5) == 0);
	CHECK(fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)) < 0);
	CHECK(fgetxattr(fd, "trusted.key", value, sizeof(value)) < 0);
	/* What a directory says of files to be made in it is no word on those that are copied. */
	CHECK(fgetxattr(fd, "system.posix_acl_access", value, sizeof(value)) < 0);
	CHECK(at(to, "marked/file").st_mode == at(from, "marked/file").st_mode);
}

static void test_what_gives_way(void)
{
	put(from, "new", "new");
	put(to, "canary", "canary");
	CHECK(symlinkat("canary", to, "way") == 0);
	CHECK(COPY(ENTRY("new", "way", S_IFREG)) == 0); /* replaced, not followed */
	CHECK(holds("canary", "canary") && holds("way", "new"));
	CHECK(symlinkat("copy", to, "to-copy") == 0);
	CHECK(COPY(ENTRY("new", "to-copy/inner", S_IFREG)) == -ELOOP && strcmp(err.path, "to-copy/inner") == 0);
	CHECK(faccessat(to, "copy/inner", F_OK, 0) < 0);
	CHECK(COPY(ENTRY("tree", "to-copy", S_IFDIR), ENTRY("new", "to-copy/inner", S_IFREG)) == 0);
	CHECK(S_ISDIR(at(to, "to-copy").st_mode) && holds("to-copy/inner", "new") && faccessat(to, "copy/inner", F_OK, 0) < 0);
	CHECK(COPY(ENTRY("tree", "way", S_IFDIR)) == 0 && S_ISDIR(at(to, "way").st_mode));
	CHECK(COPY(ENTRY("tree", "copy", S_IFDIR)) == 0 && holds("copy/file", "text")); /* what is in it stays */
	CHECK(COPY(ENTRY("new", "copy", S_IFREG)) == -EISDIR && strcmp(err.path, "copy") == 0);
	CHECK(COPY(ENTRY("tree/link", "copy", S_IFLNK)) == -EISDIR);
	CHECK(COPY(ENTRY("new", "missing/new", S_IFREG)) == -ENOENT);
}

/* As if one entry was copied after the other. */
static void test_order(void)
{
	put(from, "first", "first");
	put(from, "last", "last");
	for (int i = 0; i < 20; i++) {
		CHECK(COPY(ENTRY("first", "twice", S_IFREG), ENTRY("new", "between", S_IFREG), ENTRY("last", "twice", S_IFREG)) == 0);
		CHECK(holds("twice", "last") && copied.entries == 2);
	}
	CHECK(COPY(ENTRY("first", "turned", S_IFREG), ENTRY("tree", "turned", S_IFDIR)) == 0 && S_ISDIR(at(to, "turned").st_mode));
	CHECK(COPY(ENTRY("tree", "turned2", S_IFDIR), ENTRY("first", "turned2", S_IFREG)) == -EISDIR);
}

static void test_hard_links(void)
{
	struct stat one, two;

	put(from, "names", "one file");
	CHECK(linkat(from, "names", from, "tree/name", 0) == 0 && linkat(from, "names", from, "z", 0) == 0);
	put(to, "linked-z", "in the way");
	CHECK(COPY(ENTRY("names", "linked", S_IFREG), ENTRY("tree/name", "copy/linked", S_IFREG), ENTRY("z", "linked-z", S_IFREG)) == 0);
	one = at(to, "linked");
	two = at(to, "copy/linked");
	CHECK(one.st_ino == two.st_ino && one.st_nlink == 3 && at(to, "linked-z").st_ino == one.st_ino);
	CHECK(holds("copy/linked", "one file") && copied.entries == 3 && copied.bytes == 8);
	/* Another call knows nothing of the first. */
	CHECK(COPY(ENTRY("names", "apart", S_IFREG)) == 0 && at(to, "apart").st_nlink == 1);
}

static void test_changes(void)
{
	struct fb_copy_entry entry = ENTRY("changing", "changing", S_IFREG);

	put(from, "changing", "1");
	entry.ctime_ns = fb_nanoseconds(at(from, "changing").st_ctim);
	CHECK(copy(&entry, 1) == 0 && holds("changing", "1"));
	CHECK(fchmodat(from, "changing", 0600, 0) == 0);
	entry.ctime_ns--; /* whatever the grain of the file system's clock */
	CHECK(copy(&entry, 1) == -ESTALE && strcmp(err.path, "changing") == 0);
	CHECK(strcmp(err.detail, "changed while the build read it") == 0);
	CHECK(unlinkat(from, "changing", 0) == 0 && symlinkat("new", from, "changing") == 0);
	CHECK(copy(&entry, 1) == -ESTALE);
	entry.kind = S_IFIFO;
	CHECK(copy(&entry, 1) == -ESTALE);
	entry.kind = S_IFDIR;
	CHECK(copy(&entry, 1) == -ESTALE);
}

static void test_refusals(void)
{
	static const char *const not_plain[] = {"", ".", "/new", "a//b", "../new", "tree/../new", "./new", "new/"};
	struct fb_copy_entry entry;

	for (size_t i = 0; i < sizeof(not_plain) / sizeof(not_plain[0]); i++) {
		entry = (struct fb_copy_entry)ENTRY("new", not_plain[i], S_IFREG);
		CHECK(copy(&entry, 1) == -EINVAL);
		entry = (struct fb_copy_entry)ENTRY(not_plain[i], "target", S_IFLNK);
		CHECK(copy(&entry, 1) == -EINVAL);
		entry.kind = S_IFREG;
		CHECK(copy(&entry, 1) == -EINVAL);
	}
	CHECK(symlinkat("tree", from, "source-way") == 0);
	CHECK(COPY(ENTRY("source-way/file", "stolen", S_IFREG)) == -ESTALE);
	CHECK(COPY(ENTRY("source-way/link", "stolen", S_IFLNK)) == -ESTALE);
	CHECK(COPY(ENTRY("new/x", "stolen", S_IFREG)) == -ESTALE && COPY(ENTRY("none", "stolen", S_IFREG)) == -ENOENT);
	CHECK(COPY(ENTRY("source-way", "stolen", S_IFDIR)) == -ESTALE);
	CHECK(mknodat(from, "whiteout", S_IFCHR | 0600, 0) == 0);
	CHECK(COPY(ENTRY("whiteout", "whiteout", S_IFCHR)) == -EINVAL);
	CHECK(copy(NULL, 0) == 0 && copied.entries == 0);
}

static void test_large(void)
{
	fb_auto_close int fd = openat(from, "large", O_RDWR | O_CREAT, 0600), copy_fd = -1;
	static char data[300000], back[sizeof(data)];

	memset(data, 'a', sizeof(data));
	CHECK(write(fd, data, sizeof(data)) == (ssize_t)sizeof(data) && ftruncate(fd, 64 << 20) == 0);
	CHECK(COPY(ENTRY("large", "large", S_IFREG)) == 0 && copied.bytes == 64 << 20);
	CHECK(at(to, "large").st_size == 64 << 20 && at(to, "large").st_blocks < 4096);
	copy_fd = openat(to, "large", O_RDONLY);
	CHECK(read(copy_fd, back, sizeof(back)) == (ssize_t)sizeof(back) && memcmp(data, back, sizeof(data)) == 0);
}

static void test_many(void)
{
	enum { COUNT = 3000 };
	static char names[COUNT][24];
	static struct fb_copy_entry entries[COUNT + 2];

	entries[0] = (struct fb_copy_entry)ENTRY("", "many", S_IFDIR);
	entries[1] = (struct fb_copy_entry)ENTRY("", "many/inner", S_IFDIR);
	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), i % 2 ? "many/inner/%d" : "many/%d", i);
		entries[i + 2] = (struct fb_copy_entry)ENTRY("new", names[i], S_IFREG);
	}
	CHECK(copy(entries, COUNT + 2) == 0 && copied.entries == COUNT + 2 && copied.bytes == 3 * COUNT);
	CHECK(holds("many/inner/2999", "new") && holds("many/0", "new"));
	entries[777].source = "missing";
	CHECK(copy(entries, COUNT + 2) == -ENOENT && strcmp(err.path, "missing") == 0);
}

int main(void)
{
	fb_auto_close int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
	char path[sizeof(base) + 8];

	if (geteuid() != 0 || !mkdtemp(base))
		return 77;
	umask(022);
	snprintf(path, sizeof(path), "%s/from", base);
	CHECK(mkdir(path, 0755) == 0 && (from = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	snprintf(path, sizeof(path), "%s/to", base);
	CHECK(mkdir(path, 0755) == 0 && (to = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	test_kinds();
	test_owner_and_mode();
	test_xattrs();
	test_what_gives_way();
	test_order();
	test_hard_links();
	test_changes();
	test_refusals();
	test_large();
	test_many();
	close(from);
	close(to);
	CHECK(fb_remove_tree(tmp, base + 5, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
