/* A place to unpack into: <base>/root, beside canaries that no archive may change. */
#ifndef TAR_PLACE_TEST_H
#define TAR_PLACE_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "tar_extract.h"
#include "tar_make.h"

static int failures, base = -1, root = -1;
static char base_path[128];
static struct fb_error err;
static struct fb_extract_result result;
static struct fb_extract_limits limits;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (%s %s: %s, %s)\n", __FILE__, __LINE__,         \
				#condition, err.call, err.path, strerror(err.code), err.detail);   \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

/* ---- the place ---- */

static inline struct stat at(const char *name)
{
	struct stat st = {0};

	if (fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		st.st_mode = 0;
	return st;
}

static inline bool missing(const char *name)
{
	return at(name).st_mode == 0;
}

static inline bool whiteout(const char *name)
{
	struct stat st = at(name);

	return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static inline bool xattr_is(const char *name, const char *key, const char *value)
{
	char path[512], got[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/root/%s", base_path, name);
	n = lgetxattr(path, key, got, sizeof(got));
	return value ? n == (ssize_t)strlen(value) && memcmp(got, value, (size_t)n) == 0 : n < 0;
}

static inline bool opaque(const char *name)
{
	return xattr_is(name, "trusted.overlay.opaque", "y");
}

static inline bool holds(const char *name, const char *text)
{
	fb_auto_close int fd = openat(root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char got[256];
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static inline void fresh(void)
{
	if (root >= 0)
		close(root);
	CHECK(fb_remove_tree(base, "root", &err) == 0);
	CHECK(mkdirat(base, "root", 0755) == 0);
	root = openat(base, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static struct timespec canary_changed[3];
static const char *const canaries[] = {"canary", "out", "out/file"};

/* What lies beside the root: contents, and no inode touched since the start. */
static inline void check_canaries(int line, bool note)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (fstatat(base, canaries[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			fprintf(stderr, "line %d: %s is gone\n", line, canaries[i]);
			failures++;
		} else if (note) {
			canary_changed[i] = st.st_ctim;
		} else if (memcmp(&canary_changed[i], &st.st_ctim, sizeof(st.st_ctim)) != 0) {
			fprintf(stderr, "line %d: %s was changed\n", line, canaries[i]);
			failures++;
			canary_changed[i] = st.st_ctim;
		}
	}
}

static inline void make_canaries(void)
{
	int fd = openat(base, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	CHECK(fd >= 0 && write(fd, "alive", 5) == 5);
	close(fd);
	CHECK(mkdirat(base, "out", 0750) == 0);
	fd = openat(base, "out/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	CHECK(fd >= 0 && write(fd, "alive", 5) == 5);
	close(fd);
	check_canaries(__LINE__, true);
}

static inline int extract_fd(int fd, enum fb_extract_mode mode)
{
	const struct fb_extract_options options = {.mode = mode, .limits = limits, .copy = -1, .gate = -1};

	return fb_extract(fd, root, &options, &result, &err);
}

static inline int extract_bytes(const void *data, size_t length, enum fb_extract_mode mode)
{
	fb_auto_close int fd = mk_fd(data, length);
	int r;

	alarm(60); /* a fifo that is opened hangs */
	r = extract_fd(fd, mode);
	alarm(0);
	return r;
}

static inline int run_line(int line, struct make *m, enum fb_extract_mode mode)
{
	int r;

	mk_end(m);
	r = extract_bytes(m->data, m->length, mode);
	check_canaries(line, false);
	mk_free(m);
	return r;
}
#define RUN(m) run_line(__LINE__, (m), FB_EXTRACT_LAYER)
#define RUN_PLAIN(m) run_line(__LINE__, (m), FB_EXTRACT_PLAIN)
#define FRESH_RUN(m) (fresh(), RUN(m))

/* 0: the tests may begin; 77: not root (owners, devices and trusted.* are root's). */
static inline int place_begin(void)
{
	const char *parent = getenv("TMPDIR");

	if (geteuid() != 0)
		return 77;
	umask(0022);
	snprintf(base_path, sizeof(base_path), "%.90s/test_tar.XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(base_path))
		return 1;
	base = open(base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_canaries();
	return 0;
}

static inline int place_end(void)
{
	check_canaries(__LINE__, false);
	CHECK(fb_remove_tree(AT_FDCWD, base_path, &err) == 0);
	return failures != 0;
}

#endif
