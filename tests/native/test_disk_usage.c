#include "disk_usage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"

static uint64_t usage_of(const char *path)
{
	struct fb_disk_usage *usage = NULL;
	struct fb_disk_usage_sum sum = {0};
	struct fb_error err = {0};
	fb_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fb_disk_usage_open(&usage, &err) == 0);
	CHECK(fb_disk_usage_add(usage, fd, ".", &sum, &err) == 0);
	fb_disk_usage_close(usage);
	return sum.bytes;
}

static uint64_t du(const char *path)
{
	char command[256];
	unsigned long long kilobytes = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "du -sxk '%s'", path);
	pipe = popen(command, "r");
	CHECK(pipe && fscanf(pipe, "%llu", &kilobytes) == 1);
	if (pipe)
		pclose(pipe);
	return kilobytes * 1024;
}

static void put(int dirfd, const char *name, off_t hole, size_t data)
{
	fb_auto_close int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static char block[4096];

	memset(block, 'x', sizeof(block));
	CHECK(fd >= 0 && lseek(fd, hole, SEEK_SET) == hole);
	for (; data; data -= sizeof(block))
		CHECK(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	CHECK(fsync(fd) == 0);
}

/* A chain of directories deeper than what is kept open, with a file at each level, and one beside the chain that is walked after it. */
static void deep(int root, int levels)
{
	fb_auto_close int fd = dup(root);

	for (int i = 0; i < levels; i++) {
		int below;

		put(fd, "file", 0, 4096);
		CHECK(mkdirat(fd, "deeper", 0700) == 0 && mkdirat(fd, "beside", 0700) == 0);
		below = openat(fd, "beside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		put(below, "file", 0, 8192);
		close(below);
		below = openat(fd, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = below;
	}
}

static void test_shared(const char *path)
{
	struct fb_disk_usage *usage = NULL;
	struct fb_disk_usage_sum first = {0}, second = {0}, none = {0};
	struct fb_error err = {0};
	fb_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fb_disk_usage_open(&usage, &err) == 0);
	CHECK(fb_disk_usage_add(usage, fd, "a", &first, &err) == 0 && first.entries == 1);
	CHECK(fb_disk_usage_add(usage, fd, "b", &second, &err) == 0);
	CHECK(second.bytes == 0 && second.entries == 0); /* the same file by its other name */
	CHECK(fb_disk_usage_add(usage, fd, "missing", &none, &err) == 0 && none.bytes == 0);
	CHECK(fb_disk_usage_add(usage, fd, "link", &none, &err) == 0 && none.entries == 1);
	fb_disk_usage_close(usage);
}

int main(void)
{
	char path[] = "/var/tmp/fastbox-usage.XXXXXX", mounted[64];
	struct fb_error err = {0};
	int tmp, root;

	CHECK(mkdtemp(path) != NULL);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(root, "a", 0, 1 << 20);
	put(root, "sparse", (off_t)1 << 30, 4096);
	CHECK(linkat(root, "a", root, "b", 0) == 0);
	CHECK(symlinkat("/", root, "link") == 0);
	CHECK(mkfifoat(root, "fifo", 0600) == 0);
	for (int i = 0; i < 3000; i++) { /* more names of several than the first table holds */
		char name[32], other[32];

		snprintf(name, sizeof(name), "n%d", i);
		snprintf(other, sizeof(other), "m%d", i);
		put(root, name, 0, i % 2 ? 4096 : 0);
		CHECK(linkat(root, name, root, other, 0) == 0);
	}
	deep(root, 200);
	CHECK(usage_of(path) == du(path));
	CHECK(usage_of(path) > (2u << 20) && usage_of(path) < (64u << 20));
	test_shared(path);

	snprintf(mounted, sizeof(mounted), "%s/beside", path);
	if (mount("tmpfs", mounted, "tmpfs", 0, NULL) == 0) {
		fb_auto_close int fd = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		uint64_t before = usage_of(path);

		put(fd, "file", 0, 1 << 20);
		CHECK(usage_of(path) == before);
		fb_cleanup_fd(&fd);
		CHECK(umount(mounted) == 0);
	}
	close(root);
	tmp = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fb_remove_tree(tmp, strrchr(path, '/') + 1, &err) == 0);
	close(tmp);
	return failures != 0;
}
