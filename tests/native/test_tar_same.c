/* Equal trees give equal layers: whatever the order they were made in, the file system, the times nobody set, and what overlayfs noted
 * for itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"
#include "tar_write.h"

#define FILES 200

static struct fb_error err;

static void mark(int root, const char *path, const char *name, const char *value, size_t length)
{
	fb_auto_close int fd = openat(root, path, O_RDONLY | O_NOFOLLOW);

	CHECK(fd >= 0 && (fsetxattr(fd, name, value, length, 0) == 0 || errno == ENOTSUP));
}

static void put(int root, int number)
{
	fb_auto_close int fd = -1;
	char name[32], text[32];

	snprintf(name, sizeof(name), number % 3 ? "dir/%d.c" : "%d", number);
	fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0 && write(fd, text, (size_t)snprintf(text, sizeof(text), "file %d\n", number)) > 0);
}

/* The second time from behind, over other inodes, with more names in the attributes' order. */
static void make(int root, bool again)
{
	static const char *const attributes[] = {"user.a", "user.b", "user.c", "user.z"};
	fb_auto_close int held = -1;

	if (again)
		for (int i = 0; i < 50; i++) {
			char name[16];

			snprintf(name, sizeof(name), "gone%d", i);
			CHECK(mkdirat(root, name, 0700) == 0 && (i % 3 || unlinkat(root, name, AT_REMOVEDIR) == 0));
		}
	CHECK(mkdirat(root, "dir", 0755) == 0);
	for (int i = 0; i < FILES; i++)
		put(root, again ? FILES - 1 - i : i);
	held = openat(root, "0", O_RDWR);
	for (int i = 0; i < 4; i++)
		CHECK(fsetxattr(held, attributes[again ? 3 - i : i], "value", 5, 0) == 0 || errno == ENOTSUP);
	/* Of three names of a file the first in the order of names is the file, whichever it was made with. */
	CHECK(linkat(root, again ? "3" : "3", root, again ? "Z" : "dir/Z", 0) == 0);
	CHECK(linkat(root, again ? "Z" : "dir/Z", root, again ? "dir/Z" : "Z", 0) == 0);
	CHECK(symlinkat("/nowhere", root, "link") == 0 && mknodat(root, "node", S_IFCHR | 0600, makedev(1, 3)) == 0);
	CHECK(mknodat(root, "removed", S_IFCHR, makedev(0, 0)) == 0);
	CHECK(mkdirat(root, "opaque", 0755) == 0);
	mark(root, "opaque", "trusted.overlay.opaque", "y", 1);
	for (int i = 0; again && i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "gone%d", i);
		CHECK(unlinkat(root, name, AT_REMOVEDIR) == 0 || errno == ENOENT);
	}
	if (!again)
		return;
	mark(root, ".", "trusted.overlay.uuid", "0123456789abcdef", 16);
	mark(root, ".", "trusted.overlay.origin", "handle", 6);
	mark(root, "dir", "trusted.overlay.impure", "y", 1);
	mark(root, "dir", "trusted.overlay.origin", "handle", 6);
	mark(root, "0", "trusted.overlay.origin", "", 0);
	mark(root, "0", "trusted.overlay.nlink", "U+1", 3);
	mark(root, "0", "trusted.overlay.upper", "handle", 6);
	mark(root, "0", "trusted.overlay.protattr", "a", 1);
	mark(root, "0", "trusted.overlay.verity", "d", 1);
	mark(root, "0", "user.overlay.origin", "x", 1);
	mark(root, "0", "trusted.other", "x", 1);
}

/* Clamped to 1000 all are the same age; read at other times. */
static void read_some(int root)
{
	const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_nsec = UTIME_OMIT}};

	CHECK(utimensat(root, "0", times, 0) == 0 && utimensat(root, "dir", times, 0) == 0);
	CHECK(fchmodat(root, "1.c", 0644, 0) < 0 && fchmodat(root, "dir/1.c", 0600, 0) == 0 && fchmodat(root, "dir/1.c", 0644, 0) == 0);
}

static size_t write_to(int root, enum fb_packing packing, unsigned threads, uint8_t **ret_data)
{
	const struct fb_write_options options = {.clamp = true, .max_mtime = 1000};
	fb_auto_close int archive = memfd_create("archive", MFD_CLOEXEC);
	fb_auto_pack struct fb_pack *pack = NULL;
	struct fb_pack_result result = {0};
	uint64_t entries;

	CHECK(fb_pack_open(archive, packing, threads, &pack, &err) == 0);
	CHECK(fb_write_changes(root, -1, pack, &options, &entries, &err) == 0 && fb_pack_end(pack, &result, &err) == 0);
	*ret_data = malloc(result.packed_size);
	CHECK(pread(archive, *ret_data, result.packed_size, 0) == (ssize_t)result.packed_size);
	return result.packed_size;
}

static void compare(int left, int right, enum fb_packing packing)
{
	fb_auto_free uint8_t *one = NULL, *two = NULL;
	size_t length = write_to(left, packing, 1, &one);

	CHECK(write_to(right, packing, 3, &two) == length && memcmp(one, two, length) == 0);
	if (packing == FB_PACK_GZIP) /* flags and time */
		CHECK(memcmp(one + 3, "\0\0\0\0\0", 5) == 0);
	if (packing != FB_PACK_NONE)
		return;
	CHECK(memmem(one, length, "overlay", 7) == NULL && memmem(one, length, "trusted", 7) == NULL);
	CHECK(memmem(one, length, "atime", 5) == NULL && memmem(one, length, "ctime", 5) == NULL);
	CHECK(memmem(one, length, "root", 4) == NULL);
}

static int begin(char *base)
{
	return mkdtemp(base) ? open(base, O_RDONLY | O_DIRECTORY) : -1;
}

int main(void)
{
	char first[] = "/tmp/fastbox-same-XXXXXX", second[] = "/tmp/fastbox-same-XXXXXX", third[] = "/dev/shm/fastbox-same-XXXXXX";
	fb_auto_close int slash = open("/", O_RDONLY | O_DIRECTORY), one = -1, two = -1, memory = -1;

	if (geteuid() != 0)
		return 77;
	one = begin(first);
	two = begin(second);
	memory = begin(third);
	CHECK(one >= 0 && two >= 0 && memory >= 0);
	make(one, false);
	make(two, true);
	make(memory, true);
	read_some(two);
	compare(one, two, FB_PACK_NONE);
	compare(one, two, FB_PACK_GZIP);
	compare(one, two, FB_PACK_ZSTD);
	if (fgetxattr(memory, "user.any", NULL, 0) < 0 && errno != ENOTSUP) /* a tmpfs before Linux 6.6 */
		compare(one, memory, FB_PACK_NONE);
	CHECK(fb_remove_tree(slash, first + 1, &err) == 0 && fb_remove_tree(slash, second + 1, &err) == 0);
	CHECK(fb_remove_tree(slash, third + 1, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
