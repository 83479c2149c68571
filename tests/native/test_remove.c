/* fb_remove_tree: depth, modes, links, mounts, bad names. Works in a fresh directory below /tmp (or
 * $TMPDIR). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "tar_extract.h"

static int failures;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static struct fb_error err;

static bool missing(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static void touch(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
}

static void test_names(int base)
{
	CHECK(fb_remove_tree(base, "nothing", &err) == 0);
	CHECK(fb_remove_tree(base, "no/parent", &err) == 0);
	CHECK(fb_remove_tree(base, "", &err) == -EINVAL);
	CHECK(fb_remove_tree(base, ".", &err) == -EINVAL);
	CHECK(fb_remove_tree(base, "..", &err) == -EINVAL);
	CHECK(fb_remove_tree(base, "a/..", &err) == -EINVAL);
	CHECK(fb_remove_tree(base, "a/", &err) == -EINVAL);
	CHECK(err.stage == FB_STAGE_RELEASE && err.code == EINVAL);
	touch(base, "file");
	CHECK(fb_remove_tree(base, "file", &err) == 0 && missing(base, "file"));
}

static void test_links_and_nodes(int base)
{
	CHECK(mkdirat(base, "outside", 0755) == 0);
	touch(base, "outside/canary");
	CHECK(mkdirat(base, "tree", 0755) == 0);
	CHECK(mkdirat(base, "tree/sub", 0755) == 0);
	CHECK(symlinkat("../outside", base, "tree/link") == 0);
	CHECK(symlinkat("../../outside", base, "tree/sub/link") == 0);
	CHECK(symlinkat("loop", base, "tree/loop") == 0);
	CHECK(linkat(base, "outside/canary", base, "tree/sub/hard", 0) == 0);
	CHECK(mknodat(base, "tree/sub/fifo", S_IFIFO | 0600, 0) == 0);
	touch(base, "tree/sub/.hidden");
	CHECK(fb_remove_tree(base, "tree", &err) == 0 && missing(base, "tree"));
	CHECK(!missing(base, "outside/canary"));
	CHECK(symlinkat("outside", base, "top") == 0);
	CHECK(fb_remove_tree(base, "top", &err) == 0 && missing(base, "top"));
	CHECK(!missing(base, "outside/canary"));
	CHECK(fb_remove_tree(base, "outside", &err) == 0);
}

/* 12,000 levels of two entries each: far beyond any descriptor limit and any path. */
static void test_deep(int base)
{
	const struct rlimit few = {128, 128};
	struct rlimit before;
	int at;

	CHECK(mkdirat(base, "deep", 0755) == 0);
	at = openat(base, "deep", O_PATH | O_CLOEXEC);
	for (int level = 0; level < 12000; level++) {
		int next;

		if (level % 100 == 0)
			touch(at, "file");
		CHECK(mkdirat(at, "d", 0755) == 0);
		CHECK(level % 10 || mkdirat(at, "e", 0755) == 0);
		next = openat(at, "d", O_PATH | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	getrlimit(RLIMIT_NOFILE, &before);
	CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){few.rlim_cur, before.rlim_max}) == 0);
	CHECK(fb_remove_tree(base, "deep", &err) == 0 && missing(base, "deep"));
	setrlimit(RLIMIT_NOFILE, &before);
}

static void test_wide(int base)
{
	char name[64];

	CHECK(mkdirat(base, "wide", 0755) == 0);
	for (int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "wide/some-longer-file-name-%d", i);
		CHECK(mknodat(base, name, S_IFREG | 0600, 0) == 0);
	}
	CHECK(fb_remove_tree(base, "wide", &err) == 0 && missing(base, "wide"));
}

/* As a user without rights, in a child: directories that shut out their own owner. */
static void test_modes(int base)
{
	pid_t child;
	int status = -1;

	CHECK(mkdirat(base, "shut", 0777) == 0 && fchmodat(base, "shut", 0777, 0) == 0);
	child = fork();
	if (child == 0) {
		/* A change of ids makes a process undumpable, and its /proc/self/fd root's. */
		bool done =
		    setgid(65534) == 0 && setuid(65534) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;

		done = done && mkdirat(base, "shut/a", 0755) == 0 &&
		       mkdirat(base, "shut/a/b", 0755) == 0;
		touch(base, "shut/a/b/file");
		done = done && fchmodat(base, "shut/a/b", 0, 0) == 0 &&
		       fchmodat(base, "shut/a", 0500, 0) == 0;
		done = done && fb_remove_tree(base, "shut/a", &err) == 0 && missing(base, "shut/a");
		_exit(done && !failures ? 0 : 1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(fb_remove_tree(base, "shut", &err) == 0);
}

/* A bind mount left inside must stop the removal, not lead it into the host's files. */
static void test_mount(int base, const char *path)
{
	char source[128], target[128];
	pid_t child;
	int status = -1;

	CHECK(mkdirat(base, "host", 0755) == 0 && mkdirat(base, "tree", 0755) == 0);
	CHECK(mkdirat(base, "tree/mnt", 0755) == 0);
	touch(base, "host/canary");
	snprintf(source, sizeof(source), "%s/host", path);
	snprintf(target, sizeof(target), "%s/tree/mnt", path);
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount(source, target, NULL, MS_BIND, NULL) < 0)
			_exit(77);
		_exit(fb_remove_tree(AT_FDCWD, target, &err) == -EBUSY &&
			      fb_remove_tree(base, "tree", &err) == -EBUSY
			  ? 0
			  : 1);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0 || WEXITSTATUS(status) == 77);
	CHECK(!missing(base, "host/canary"));
	CHECK(fb_remove_tree(base, "tree", &err) == 0 && fb_remove_tree(base, "host", &err) == 0);
}

int main(void)
{
	const char *parent = getenv("TMPDIR");
	char path[64];
	int base;

	snprintf(path, sizeof(path), "%.40s/test_remove.XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(path) || chmod(path, 0755) < 0)
		return 1;
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_names(base);
	test_links_and_nodes(base);
	test_deep(base);
	test_wide(base);
	if (geteuid() == 0) {
		test_modes(base);
		test_mount(base, path);
	}
	close(base);
	CHECK(rmdir(path) == 0);
	return failures != 0;
}
