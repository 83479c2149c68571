/* Real groups below fastbox-test-<pid>, for the tests of groups. */
#ifndef FB_CGROUP_FIXTURE_H
#define FB_CGROUP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "check.h"
#include "sys.h"

#define MIB ((size_t)1 << 20)
#define RWM (FB_ACCESS_READ | FB_ACCESS_WRITE | FB_ACCESS_MKNOD)

static char base[64];

__attribute__((unused)) static struct fb_device_rule docker_devices[] = {
    {false, 'a', -1, -1, RWM},
    {true, 'c', -1, -1, FB_ACCESS_MKNOD},
    {true, 'c', 1, 3, RWM},
    {true, 'c', 1, 5, FB_ACCESS_READ},
    {true, 'c', 1, 8, FB_ACCESS_READ},
    {true, 'c', 1, 8, FB_ACCESS_WRITE},
};

static inline void explain(const struct fb_error *err)
{
	fprintf(stderr, "%s %s '%s': %s (%s)\n", fb_stage_name(err->stage), err->call, err->path,
		strerror(err->code), err->detail);
}

static inline bool contains(const char *directory, const char *file, const char *wanted)
{
	char text[2048] = "";

	fb_cgroup_read(directory, file, text, sizeof(text));
	if (strstr(text, wanted))
		return true;
	fprintf(stderr, "%s/%s: '%s' has no '%s'\n", directory, file, text, wanted);
	return false;
}

static inline const char *in(const struct fb_cgroup *group, const char *hierarchy)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "/%s/", hierarchy);
	for (int i = 0; i < group->path_count; i++)
		if (strstr(group->paths[i], wanted))
			return group->paths[i];
	return "";
}

static inline int remove_group(struct fb_cgroup *group)
{
	const char *paths[FB_CGROUP_MAX];
	struct fb_error err = {0};
	int r;

	for (int i = 0; i < group->path_count; i++)
		paths[i] = group->paths[i];
	fb_cgroup_close(group);
	r = fb_cgroup_kill(paths, group->path_count, &err);
	r = r < 0 ? r : fb_cgroup_remove(paths, group->path_count, &err);
	if (r < 0)
		explain(&err);
	for (int i = 0; i < group->path_count; i++)
		CHECK(access(paths[i], F_OK) < 0);
	return r;
}

/* A child that enters the group (as child.c does: "0" into each) and runs `body`; its status. */
static inline pid_t start_in(const struct fb_cgroup *group, int (*body)(void))
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	pid_t pid;

	if (group->into >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group->into;
	}
	pid = fb_clone3(&args);
	if (pid != 0)
		return pid;
	for (int i = 0; i < group->procs_count; i++)
		if (write(group->procs[i], "0", 1) != 1)
			_exit(99);
	failures = 0;
	_exit(body());
}

static inline int status_of(pid_t pid)
{
	int status = 0;

	CHECK(pid > 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static inline int open_device(unsigned minor_number, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/fastbox-test-node-%d", (int)getpid());
	if (mknod(path, S_IFCHR | 0600, makedev(1, minor_number)) < 0)
		return errno == EPERM ? -EDOM : -errno;
	fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	else
		close(fd);
	unlink(path);
	return fd < 0 ? fd : 0;
}

static inline int linger(void)
{
	/* Deaf to all that can be ignored, with a child of its own. */
	fork();
	signal(SIGTERM, SIG_IGN);
	while (pause() < 0)
		;
	return 0;
}

static inline int create(const struct fb_cgroup_mounts *mounts, const char *name,
		  const struct fb_resources *resources, struct fb_cgroup *group)
{
	struct fb_error err = {0};
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	r = mounts ? fb_cgroup_create_in(mounts, path, resources, group, &err)
		   : fb_cgroup_create(path, resources, 0, group, &err);
	if (r < 0)
		explain(&err);
	if (r < 0)
		CHECK(err.code == -r && err.stage == FB_STAGE_CGROUP);
	return r;
}

static inline void remove_base(const struct fb_cgroup_mounts *mounts)
{
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++) {
		char path[256];
		const char *paths[] = {path};

		snprintf(path, sizeof(path), "%s%s", mounts->of[i].at, base);
		if (mounts->of[i].at[0])
			CHECK(fb_cgroup_remove(paths, 1, NULL) == 0 && access(path, F_OK) < 0);
	}
}

__attribute__((unused)) static struct fb_cgroup_mounts all;
__attribute__((unused)) static _Atomic unsigned *shared; /* by this process and its children */

/* As the OCI command does. */
static inline int make(const char *name, const struct fb_resources *resources, struct fb_cgroup *group)
{
	return create(&all, name, resources, group);
}

static inline void await_shared(void)
{
	for (int i = 0; *shared == 0 && i < 10000; i++)
		usleep(1000);
	CHECK(*shared);
}

static inline void begin_every(void)
{
	if (geteuid() != 0)
		exit(77);
	snprintf(base, sizeof(base), "/fastbox-test-%d", (int)getpid());
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED && fb_cgroup_find_mounts(FB_CGROUP_EVERY, &all, NULL) == 0);
}

#endif
