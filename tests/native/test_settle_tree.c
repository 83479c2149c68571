/* fb_settle_tree and fb_remove_stub: what they touch, and what they leave. */
#include "settle_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "check.h"
#include "cleanup.h"
#include "stubs.h"
#include "tar_extract.h"

static char base[] = "/dev/shm/fastbox-test-times-XXXXXX";
static struct fb_error err;
static int root;

static void put(const char *name, const char *text)
{
	fb_auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void modified(const char *name, time_t seconds, long nanoseconds)
{
	const struct timespec times[2] = {{.tv_sec = 77}, {.tv_sec = seconds, .tv_nsec = nanoseconds}};

	CHECK(utimensat(root, name, times, AT_SYMLINK_NOFOLLOW) == 0);
}

static bool is(const char *name, time_t seconds, long nanoseconds)
{
	struct stat st;

	return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec == seconds &&
	       st.st_mtim.tv_nsec == nanoseconds && st.st_atim.tv_sec == 77;
}

/* Of a directory, which was read: its time of access is the kernel's. */
static bool dir_is(const char *name, time_t seconds)
{
	struct stat st;

	return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec == seconds && st.st_mtim.tv_nsec == 0;
}

static int settle(int64_t seconds, uint64_t *ret_size)
{
	return fb_settle_tree(root, &seconds, ret_size, &err);
}

static void test_clamp(void)
{
	uint64_t size = 0;

	put("early", "12345");
	put("exact", "");
	put("late", "123");
	put("outside", "");
	CHECK(mkdirat(root, "d", 0755) == 0 && symlinkat("../outside", root, "d/link") == 0 && mkfifoat(root, "d/fifo", 0600) == 0);
	CHECK(linkat(root, "late", root, "late2", 0) == 0);
	modified("early", 999, 999999999);
	modified("exact", 1000, 0);
	modified("late", 1000, 1);
	modified("outside", -5, 0);
	modified("d/link", 4000, 0);
	modified("d/fifo", 4000, 0);
	modified("d", 5000, 3);
	modified(".", 6000, 0);
	CHECK(fb_settle_tree(root, NULL, &size, &err) == 0 && size == 8 && is("late", 1000, 1)); /* a file with two names once */
	CHECK(settle(1000, &size) == 0 && size == 8);
	CHECK(is("early", 999, 999999999) && is("exact", 1000, 0) && is("late", 1000, 0));
	CHECK(is("outside", -5, 0)); /* not by the link to it */
	CHECK(is("d/link", 1000, 0) && is("d/fifo", 1000, 0) && dir_is("d", 1000) && dir_is(".", 1000));
	CHECK(settle(-10, &size) == 0 && is("early", -10, 0));
	CHECK(fb_settle_tree(-1, NULL, &size, &err) == -EBADF);
}

/* What overlayfs notes for itself, but for what a layer means, and sockets. */
static void test_marks(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	fb_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fb_auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t size;
	char value[8];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/d/socket", base);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	put("copied", "x");
	CHECK(fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) == 0 && fsetxattr(dir, "trusted.overlay.impure", "y", 1, 0) == 0);
	CHECK(fsetxattr(dir, "user.kept", "y", 1, 0) == 0 || errno == ENOTSUP);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/copied", base);
	CHECK(setxattr(address.sun_path, "trusted.overlay.origin", "handle", 6, 0) == 0);
	modified("d", 2000, 0);
	CHECK(fb_settle_tree(root, NULL, &size, &err) == 0);
	CHECK(fgetxattr(dir, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y');
	CHECK(fgetxattr(dir, "trusted.overlay.impure", value, sizeof(value)) < 0 && errno == ENODATA);
	CHECK(getxattr(address.sun_path, "trusted.overlay.origin", value, sizeof(value)) < 0 && errno == ENODATA);
	CHECK(faccessat(root, "d/socket", F_OK, 0) < 0 && errno == ENOENT);
	CHECK(settle(1000, &size) == 0 && dir_is("d", 1000)); /* after the socket went */
}

/* Deeper than descriptors are held, and than a path is long. */
static void test_depth(void)
{
	fb_auto_close int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	uint64_t size = 0;

	for (int i = 0; i < 3000; i++) {
		int next;

		CHECK(mkdirat(at, "d", 0755) == 0 || errno == EEXIST);
		CHECK(mkdirat(at, "e", 0755) == 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	CHECK(settle(500, &size) == 0 && size == 0);
	modified("e", 77, 0);
	CHECK(is("e", 77, 0));
}

static void test_stubs(void)
{
	CHECK(mkdirat(root, "s", 0755) == 0 && mkdirat(root, "s/empty", 0700) == 0 && mkdirat(root, "s/full", 0700) == 0);
	put("s/full/x", "");
	put("s/file", "");
	put("s/written", "text");
	put("s/linked", "");
	CHECK(linkat(root, "s/linked", root, "s/other", 0) == 0 && symlinkat("s", root, "way") == 0);
	CHECK(symlinkat("empty", root, "s/link") == 0);
	CHECK(fb_remove_stub(root, "s/full", S_IFDIR, &err) == 0);
	CHECK(fb_remove_stub(root, "s/written", S_IFREG, &err) == 0);
	CHECK(fb_remove_stub(root, "s/linked", S_IFREG, &err) == 0);
	CHECK(fb_remove_stub(root, "s/file", S_IFDIR, &err) == 0 && fb_remove_stub(root, "s/empty", S_IFREG, &err) == 0);
	CHECK(fb_remove_stub(root, "s/link", S_IFDIR, &err) == 0 && fb_remove_stub(root, "s/link", S_IFREG, &err) == 0);
	CHECK(fb_remove_stub(root, "way/file", S_IFREG, &err) == 0 && fb_remove_stub(root, "s/written/x", S_IFREG, &err) == 0);
	CHECK(fb_remove_stub(root, "s/none", S_IFREG, &err) == 0 && fb_remove_stub(root, "none/none", S_IFDIR, &err) == 0);
	CHECK(faccessat(root, "s/file", F_OK, 0) == 0 && faccessat(root, "s/full/x", F_OK, 0) == 0);
	CHECK(fb_remove_stub(root, "s/file", S_IFREG, &err) == 1 && faccessat(root, "s/file", F_OK, 0) < 0);
	CHECK(fb_remove_stub(root, "s/empty", S_IFDIR, &err) == 1 && faccessat(root, "s/empty", F_OK, 0) < 0);
	CHECK(fb_remove_stub(root, "../s", S_IFDIR, &err) == -EINVAL && fb_remove_stub(root, "/s", S_IFDIR, &err) == -EINVAL);
	CHECK(fb_remove_stub(root, "s", S_IFLNK, &err) == -EINVAL);
}

int main(void)
{
	fb_auto_close int tmp = open("/dev/shm", O_RDONLY | O_DIRECTORY);

	if (!mkdtemp(base))
		return 77;
	root = open(base, O_RDONLY | O_DIRECTORY);
	test_clamp();
	test_marks();
	test_stubs();
	CHECK(fb_remove_tree(tmp, base + 9, &err) == 0 && mkdir(base, 0755) == 0);
	close(root);
	root = open(base, O_RDONLY | O_DIRECTORY);
	test_depth();
	close(root);
	CHECK(fb_remove_tree(tmp, base + 9, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
