/* Roots to be read: layers stacked, and what a process sees without its mounts. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"

/* In memory: where the tests run may be an overlay, which takes no whiteouts. */
static char base[] = "/dev/shm/fastbox-view-XXXXXX";
static struct fb_error err;

static void put(const char *directory, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	close(open(path, O_WRONLY | O_CREAT, 0644));
}

static bool has(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static size_t mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	size_t lines = 0;
	int c;

	while ((c = fgetc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

/* A name with every character that overlayfs's own options would need escaped. */
static void test_layers(void)
{
	char top[256], low[256], gone[300];
	const char *const layers[] = {top, low};
	size_t before = mounts();
	fb_auto_close int fd = -1;

	snprintf(top, sizeof(top), "%s/top,:\\ x", base);
	snprintf(low, sizeof(low), "%s/low", base);
	CHECK(mkdir(top, 0755) == 0 && mkdir(low, 0755) == 0);
	put(top, "new");
	put(low, "old");
	put(low, "gone");
	snprintf(gone, sizeof(gone), "%s/gone", top);
	CHECK(mknod(gone, S_IFCHR, makedev(0, 0)) == 0);
	fd = fb_view_layers(layers, 2, &err);
	if (fd < 0)
		fprintf(stderr, "%s %s %s: %s\n", fb_stage_name(err.stage), err.call, err.path, strerror(err.code));
	CHECK(fd >= 0);
	CHECK(has(fd, "new") && has(fd, "old") && !has(fd, "gone"));
	CHECK(openat(fd, "x", O_WRONLY | O_CREAT, 0644) < 0 && errno == EROFS);
	CHECK(mounts() == before && !has(AT_FDCWD, "old"));
}

static void test_missing_layer(void)
{
	const char *const layers[] = {"/nonexistent", base};
	struct fb_error failed = {0};

	CHECK(fb_view_layers(layers, 2, &failed) < 0 && failed.code == ENOENT &&
	      failed.stage == FB_STAGE_VIEW);
}

/* A process in a mount namespace of its own, with something mounted over a file. */
static void test_process(void)
{
	int ready[2];
	fb_auto_close int proc = -1, fd = -1;
	char path[256], covered[256], byte;
	pid_t pid;

	snprintf(covered, sizeof(covered), "%s/covered", base);
	CHECK(mkdir(covered, 0755) == 0 && pipe(ready) == 0);
	put(covered, "below");
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount(base, base, NULL, MS_BIND, NULL) < 0 ||
		    mount("tmpfs", covered, "tmpfs", 0, NULL) < 0 || chdir(base) < 0 ||
		    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
			_exit(1);
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 0);
	close(ready[0]);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_RDONLY | O_DIRECTORY);
	fd = fb_view_process(proc, false, &err);
	if (fd < 0 && err.code == ENOSYS)
		fprintf(stderr, "no open_tree here\n");
	else
		CHECK(fd >= 0 && has(fd, "covered/below"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fb_cleanup_fd(&fd);
	fd = fb_view_process(proc, false, &err);
	CHECK(fd < 0);
}

int main(void)
{
	fb_auto_close int tmp = -1;

	if (geteuid() != 0 || !mkdtemp(base))
		return 77;
	test_layers();
	test_missing_layer();
	test_process();
	tmp = open("/dev/shm", O_RDONLY | O_DIRECTORY);
	CHECK(fb_remove_tree(tmp, base + 9, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
