/* Trees and changesets into tars, read back by the reader. */
#include "tar_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"
#include "tar_read.h"

static char base[] = "/tmp/fastbox-write-XXXXXX";
static struct fb_error err;

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* An empty directory to work in. */
static void begin(const char *name)
{
	CHECK(chdir(base) == 0 && mkdir(name, 0755) == 0 && chdir(name) == 0);
	memset(&err, 0, sizeof(err));
}

static int write_to(int *ret_archive, bool changes, int root, int merged,
		    const struct fb_write_options *options)
{
	fb_auto_pack struct fb_pack *pack = NULL;
	struct fb_pack_result result;
	uint64_t entries;
	int r;

	*ret_archive = memfd_create("archive", MFD_CLOEXEC);
	r = fb_pack_open(*ret_archive, FB_PACK_NONE, 1, &pack, &err);
	if (r == 0)
		r = changes ? fb_write_changes(root, merged, pack, options, &entries, &err)
			    : fb_write_tree(root, pack, options, &entries, &err);
	if (r == 0)
		r = fb_pack_end(pack, &result, &err);
	lseek(*ret_archive, 0, SEEK_SET);
	return r;
}

static ssize_t pull(void *context, const uint8_t **ret_data, struct fb_error *e)
{
	static uint8_t buffer[65536];

	(void)e;
	*ret_data = buffer;
	return read(*(int *)context, buffer, sizeof(buffer));
}

/* What is in an archive, an entry a line: type, name, link, size. */
static char *list(int archive)
{
	static char text[4 << 20];
	const struct fb_tar_entry *entry;
	struct fb_tar *tar;
	size_t length = 0;
	int r;

	CHECK(fb_tar_open(pull, &archive, &tar, &err) == 0);
	text[0] = '\0';
	while ((r = fb_tar_next(tar, &entry, &err)) > 0)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%c %s%s%s %llu\n",
					   entry->type, entry->name, entry->link && *entry->link ? "=" : "",
					   entry->link ? entry->link : "",
					   (unsigned long long)entry->real_size);
	CHECK(r == 0);
	CHECK(lseek(archive, 0, SEEK_END) % FB_TAR_BLOCK == 0);
	fb_tar_close(tar);
	close(archive);
	return text;
}

static char *changes(int merged)
{
	const struct fb_write_options options = {0};
	fb_auto_close int root = open(".", O_RDONLY | O_DIRECTORY);
	int archive, r = write_to(&archive, true, root, merged, &options);

	CHECK(r == 0);
	return list(archive);
}

static char *tree(const struct fb_write_options *options)
{
	fb_auto_close int root = open(".", O_RDONLY | O_DIRECTORY);
	int archive, r = write_to(&archive, false, root, -1, options);

	CHECK(r == 0);
	return list(archive);
}

static int refused(bool of_changes, const struct fb_write_options *options)
{
	fb_auto_close int root = open(".", O_RDONLY | O_DIRECTORY);
	int archive, r = write_to(&archive, of_changes, root, -1, options);

	close(archive);
	CHECK(r == -err.code && err.stage == FB_STAGE_WRITE);
	return err.code;
}

#define SAME(got, wanted)                                                                          \
	do {                                                                                       \
		const char *text_ = (got);                                                         \
		bool same_ = strcmp(text_, (wanted)) == 0;                                         \
		if (!same_)                                                                        \
			fputs(text_, stderr);                                                      \
		CHECK(same_);                                                                      \
	} while (0)

static void test_order_and_links(void)
{
	const struct fb_write_options options = {0};

	begin("order");
	put("b", "bb");
	put("a.c", "x");
	CHECK(mkdir("a", 0700) == 0);
	CHECK(link("b", "a/first") == 0 && symlink("nowhere", "Z") == 0 && mkfifo("f", 0600) == 0);
	CHECK(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CHECK(mknod("sock", S_IFSOCK | 0666, 0) == 0);
	SAME(tree(&options), "2 Z=nowhere 0\n5 a/ 0\n0 a/first 2\n0 a.c 1\n1 b=a/first 0\n6 f 0\n"
			     "3 null 0\n");
}

static void test_marks(void)
{
	begin("marks");
	CHECK(mkdir("d", 0755) == 0 && mkdir("opaque", 0755) == 0 && mkdir("x", 0755) == 0);
	CHECK(mknod("d/gone", S_IFCHR, makedev(0, 0)) == 0 && link("d/gone", "away") == 0);
	CHECK(setxattr("opaque", "trusted.overlay.opaque", "y", 1, 0) == 0);
	CHECK(setxattr("opaque", "trusted.overlay.origin", "z", 1, 0) == 0);
	put("opaque/!new", "1");
	/* Linux 6.7: a directory of whiteouts that are files. */
	CHECK(setxattr("x", "trusted.overlay.opaque", "x", 1, 0) == 0);
	put("x/file", "");
	CHECK(setxattr("x/file", "trusted.overlay.whiteout", "", 0, 0) == 0);
	SAME(changes(-1), "0 .wh.away 0\n5 d/ 0\n0 d/.wh.gone 0\n5 opaque/ 0\n"
			  "0 opaque/.wh..wh..opq 0\n0 opaque/!new 1\n5 x/ 0\n0 x/.wh.file 0\n");
}

/* Another kind of mount has its marks elsewhere, and in a plain tree they mean nothing. */
static void test_marks_of_others(void)
{
	struct fb_write_options options = {.user_marks = true};
	fb_auto_close int root = -1;
	int archive;

	begin("user");
	CHECK(mkdir("d", 0755) == 0);
	root = open(".", O_RDONLY | O_DIRECTORY);
	if (setxattr("d", "user.overlay.opaque", "y", 1, 0) == 0) {
		CHECK(write_to(&archive, true, root, -1, &options) == 0);
		SAME(list(archive), "5 d/ 0\n0 d/.wh..wh..opq 0\n");
		SAME(changes(-1), "5 d/ 0\n");
	}
	CHECK(setxattr("d", "trusted.overlay.opaque", "y", 1, 0) == 0);
	CHECK(mknod("zero", S_IFCHR, makedev(0, 0)) == 0);
	options.user_marks = false;
	SAME(tree(&options), "5 d/ 0\n3 zero 0\n");
}

static void test_redirect_and_metacopy(void)
{
	const struct fb_write_options options = {0};
	fb_auto_close int merged = -1;

	begin("merged");
	CHECK(mkdir("new", 0755) == 0 && mkdir("new/inner", 0755) == 0);
	put("new/old file", "old");
	put("new/inner/.x", "1");
	put("meta", "from below");
	merged = open(".", O_RDONLY | O_DIRECTORY);
	begin("redirect");
	CHECK(mkdir("new", 0755) == 0);
	CHECK(setxattr("new", "trusted.overlay.redirect", "old", 3, 0) == 0);
	SAME(changes(merged), "5 new/ 0\n0 new/.wh..wh..opq 0\n5 new/inner/ 0\n0 new/inner/.x 1\n"
			      "0 new/old file 3\n");
	CHECK(refused(true, &options) == ENOTSUP);
	CHECK(rmdir("new") == 0);
	put("meta", "");
	CHECK(truncate("meta", 10) == 0);
	CHECK(setxattr("meta", "trusted.overlay.metacopy", "", 0, 0) == 0);
	SAME(changes(merged), "0 meta 10\n");
	CHECK(refused(true, &options) == ENOTSUP);
}

static void test_refused_names(void)
{
	struct fb_write_options options = {.layer = true};
	char name[256];

	begin("names");
	put(".wh.passwd", "x");
	CHECK(refused(true, &options) == EINVAL);
	CHECK(refused(false, &options) == EINVAL);
	options.layer = false;
	SAME(tree(&options), "0 .wh.passwd 1\n");
	CHECK(unlink(".wh.passwd") == 0);
	memset(name, 'n', 255);
	name[252] = '\0';
	CHECK(mknod(name, S_IFCHR, makedev(0, 0)) == 0);
	CHECK(refused(true, &options) == ENAMETOOLONG);
	CHECK(unlink(name) == 0);
	options.max_entries = 2;
	put("1", "");
	put("2", "");
	tree(&options);
	put("3", "");
	CHECK(refused(false, &options) == EFBIG);
}

static void test_stub(void)
{
	const struct fb_write_options options = {.stub = "sbin/init"};

	begin("stub");
	CHECK(mkdir("sbin", 0755) == 0);
	put("sbin/init", "");
	put("sbin/other", "");
	SAME(tree(&options), "5 sbin/ 0\n0 sbin/other 0\n");
	put("sbin/init", "real");
	SAME(tree(&options), "5 sbin/ 0\n0 sbin/init 4\n0 sbin/other 0\n");
}

/* Deeper than descriptors are kept open, and to the longest path there may be. */
static void test_depth(void)
{
	const struct fb_write_options options = {0};
	fb_auto_close int root = -1;
	int archive, depth = 0;
	const char *listed;

	begin("depth");
	root = open(".", O_RDONLY | O_DIRECTORY);
	for (; depth < 500; depth++)
		CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
	put("bottom", "1");
	for (int i = 0; i < depth; i++) {
		CHECK(chdir("..") == 0);
		put("z", "");
	}
	CHECK(write_to(&archive, false, root, -1, &options) == 0);
	listed = list(archive);
	CHECK(strstr(listed, "d/bottom 1\n") != NULL && strstr(listed, "\n0 z 0\n") != NULL);
	for (depth = 0; depth < 2100; depth++)
		CHECK((mkdir("d", 0755) == 0 || errno == EEXIST) && chdir("d") == 0);
	CHECK(fchdir(root) == 0);
	CHECK(refused(false, &options) == ENAMETOOLONG);
}

static void test_mounts(void)
{
	const struct fb_write_options options = {0};

	begin("mounts");
	CHECK(mkdir("m", 0755) == 0);
	put("f", "covered");
	put("m/below", "x");
	if (mount("tmpfs", "m", "tmpfs", 0, "mode=0711") < 0)
		return;
	put("m/secret", "not ours");
	CHECK(mount("m/secret", "f", NULL, MS_BIND, NULL) == 0);
	SAME(tree(&options), "0 f 0\n5 m/ 0\n");
	CHECK(umount("f") == 0 && umount("m") == 0);
	SAME(tree(&options), "0 f 7\n5 m/ 0\n0 m/below 1\n");
}

/* sysfs says 4096 bytes for files that have a few, as a file does that gets shorter as it is read. */
static void test_shrinking(void)
{
	const struct fb_write_options options = {0};
	int root = open("/sys/class/net/lo/statistics", O_RDONLY | O_DIRECTORY), archive;

	if (root < 0)
		return;
	CHECK(write_to(&archive, false, root, -1, &options) == 0);
	CHECK(strstr(list(archive), " 4096\n") != NULL);
	close(root);
}

static void test_holes(void)
{
	const struct fb_write_options options = {0};
	fb_auto_close int root = -1, to = -1;
	struct fb_extract_result result;
	int fd, archive;
	struct stat st;

	begin("holes");
	fd = open("sparse", O_RDWR | O_CREAT, 0644);
	CHECK(pwrite(fd, "begin", 5, 0) == 5 && pwrite(fd, "middle", 6, 1 << 20) == 6);
	CHECK(ftruncate(fd, 10 << 20) == 0);
	close(fd);
	fd = open("nothing", O_RDWR | O_CREAT, 0644);
	CHECK(ftruncate(fd, (off_t)1 << 40) == 0);
	close(fd);
	fd = open("small hole", O_RDWR | O_CREAT, 0644);
	CHECK(pwrite(fd, "x", 1, 70000) == 1);
	close(fd);
	root = open(".", O_RDONLY | O_DIRECTORY);
	CHECK(write_to(&archive, false, root, -1, &options) == 0);
	CHECK(lseek(archive, 0, SEEK_END) < 1 << 20);
	lseek(archive, 0, SEEK_SET);
	begin("holes back");
	to = open(".", O_RDONLY | O_DIRECTORY);
	CHECK(fb_extract(archive, to, &(struct fb_extract_options){.mode = FB_EXTRACT_PLAIN, .copy = -1, .gate = -1},
			 &result, &err) == 0);
	close(archive);
	CHECK(stat("nothing", &st) == 0 && st.st_size == (off_t)1 << 40 && st.st_blocks == 0);
	CHECK(stat("sparse", &st) == 0 && st.st_size == 10 << 20 && st.st_blocks < 1024);
	fd = open("sparse", O_RDONLY);
	{
		char text[8] = "";

		CHECK(pread(fd, text, 6, 1 << 20) == 6 && strcmp(text, "middle") == 0);
		CHECK(pread(fd, text, 5, 0) == 5 && memcmp(text, "begin", 5) == 0);
		CHECK(pread(fd, text, 1, (1 << 20) + 6) == 1 && text[0] == '\0');
	}
	close(fd);
	CHECK(stat("small hole", &st) == 0 && st.st_size == 70001);
}

static void test_clamp(void)
{
	const struct fb_write_options options = {.clamp = true, .max_mtime = 1000};
	const struct timespec early[2] = {{.tv_sec = 5}, {.tv_sec = 999, .tv_nsec = 500000000}};
	fb_auto_close int root = -1;
	const struct fb_tar_entry *entry;
	struct fb_tar *tar;
	int archive;

	begin("clamp");
	put("early", "");
	put("late", "");
	CHECK(utimensat(AT_FDCWD, "early", early, 0) == 0);
	root = open(".", O_RDONLY | O_DIRECTORY);
	CHECK(write_to(&archive, false, root, -1, &options) == 0);
	CHECK(fb_tar_open(pull, &archive, &tar, &err) == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->mtime.tv_sec == 999 &&
	      entry->mtime.tv_nsec == 500000000);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->mtime.tv_sec == 1000 &&
	      entry->mtime.tv_nsec == 0);
	fb_tar_close(tar);
	close(archive);
}

int main(void)
{
	fb_auto_close int tmp = -1;

	if (geteuid() != 0 || !mkdtemp(base))
		return 77;
	test_order_and_links();
	test_marks();
	test_marks_of_others();
	test_redirect_and_metacopy();
	test_refused_names();
	test_stub();
	test_depth();
	test_mounts();
	test_shrinking();
	test_holes();
	test_clamp();
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
	CHECK(fchdir(tmp) == 0 && fb_remove_tree(tmp, base + 5, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
