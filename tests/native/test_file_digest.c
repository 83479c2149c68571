/* fb_digest_files: values, order, and what is no file or not below the root. */
#include "file_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"
#include "times.h"

static char base[] = "/tmp/fastbox-test-digests-XXXXXX";
static struct fb_error err;
static int root;

static void put(const char *name, const void *data, size_t length)
{
	fb_auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, data, length) == (ssize_t)length);
}

static int digest(const char *path, struct fb_file_digest *ret_digest)
{
	memset(&err, 0, sizeof(err));
	return fb_digest_files(root, &path, 1, 0, ret_digest, &err);
}

static bool is_hex(const uint8_t *digest, const char *hex)
{
	char text[2 * FB_DIGEST_SIZE + 1];

	for (size_t i = 0; i < FB_DIGEST_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return strcmp(text, hex) == 0;
}

static void test_values(void)
{
	struct fb_file_digest result;
	struct stat st;

	put("abc", "abc", 3);
	CHECK(digest("abc", &result) == 0 && result.size == 3);
	CHECK(is_hex(result.digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	CHECK(fstatat(root, "abc", &st, 0) == 0 && result.mtime_ns == fb_nanoseconds(st.st_mtim) &&
	      result.ctime_ns == fb_nanoseconds(st.st_ctim));
	put("empty", "", 0);
	CHECK(digest("empty", &result) == 0 && result.size == 0);
	CHECK(is_hex(result.digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

/* The same as the digest of a stream says, around the size of a buffer and with a hole. */
static void test_sizes(void)
{
	static const off_t sizes[] = {1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3 << 20};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fb_file_digest result;
		uint8_t wanted[FB_DIGEST_SIZE];
		uint64_t size;
		fb_auto_close int fd = -1;

		put("sized", "x", 1);
		fd = openat(root, "sized", O_RDWR);
		CHECK(ftruncate(fd, sizes[i]) == 0 && fb_digest_fd(fd, wanted, &size, &err) == 0);
		CHECK(digest("sized", &result) == 0 && result.size == size && size == (uint64_t)sizes[i]);
		CHECK(memcmp(result.digest, wanted, sizeof(wanted)) == 0);
	}
}

static void test_many(void)
{
	enum { COUNT = 2000 };
	static char names[COUNT][24];
	static const char *paths[COUNT];
	static struct fb_file_digest one[COUNT], many[COUNT];

	CHECK(mkdirat(root, "a", 0755) == 0 && mkdirat(root, "b", 0755) == 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "%c/%d", i % 2 ? 'a' : 'b', i);
		put(names[i], names[i], strlen(names[i]));
		paths[i] = names[i];
	}
	CHECK(fb_digest_files(root, paths, COUNT, 1, one, &err) == 0);
	CHECK(fb_digest_files(root, paths, COUNT, 5, many, &err) == 0);
	CHECK(memcmp(one, many, sizeof(one)) == 0);
	CHECK(memcmp(one[0].digest, one[1].digest, FB_DIGEST_SIZE) != 0);
	paths[1234] = "a/missing";
	CHECK(fb_digest_files(root, paths, COUNT, 5, many, &err) == -ENOENT);
	CHECK(strcmp(err.path, "a/missing") == 0);
}

static void test_refusals(void)
{
	static const char *const not_plain[] = {"", ".", "/abc", "abc/", "a//b", "../abc", "a/../abc", "./abc", "a/.."};
	struct fb_file_digest result;

	CHECK(mkfifoat(root, "fifo", 0600) == 0);
	CHECK(symlinkat("abc", root, "link") == 0 && symlinkat("a", root, "way") == 0);
	CHECK(digest("link", &result) == -ELOOP && strcmp(err.path, "link") == 0);
	CHECK(digest("way/1", &result) == -ELOOP);
	CHECK(digest("fifo", &result) == -EINVAL && err.stage == FB_STAGE_DIGEST);
	CHECK(digest("a", &result) == -EINVAL);
	CHECK(digest("abc/x", &result) == -ENOTDIR);
	for (size_t i = 0; i < sizeof(not_plain) / sizeof(not_plain[0]); i++)
		CHECK(digest(not_plain[i], &result) == -EINVAL);
}

int main(void)
{
	fb_auto_close int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	if (!mkdtemp(base))
		return 77;
	root = open(base, O_RDONLY | O_DIRECTORY);
	test_values();
	test_sizes();
	test_many();
	test_refusals();
	close(root);
	CHECK(fb_remove_tree(tmp, base + 5, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
