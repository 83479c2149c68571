/* Real groups below fastbox-test-<pid>, removed at the end. Skipped (77) without root. */
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

#define RWM (FB_ACCESS_READ | FB_ACCESS_WRITE | FB_ACCESS_MKNOD)

static char base[64];

static struct fb_device_rule docker_devices[] = {
    {false, 'a', -1, -1, RWM},
    {true, 'c', -1, -1, FB_ACCESS_MKNOD},
    {true, 'c', 1, 3, RWM},
    {true, 'c', 1, 5, FB_ACCESS_READ},
    {true, 'c', 1, 8, FB_ACCESS_READ},
    {true, 'c', 1, 8, FB_ACCESS_WRITE},
};

static void explain(const struct fb_error *err)
{
	fprintf(stderr, "%s %s '%s': %s (%s)\n", fb_stage_name(err->stage), err->call, err->path,
		strerror(err->code), err->detail);
}

static bool contains(const char *directory, const char *file, const char *wanted)
{
	char text[2048] = "";

	fb_cgroup_read(directory, file, text, sizeof(text));
	if (strstr(text, wanted))
		return true;
	fprintf(stderr, "%s/%s: '%s' has no '%s'\n", directory, file, text, wanted);
	return false;
}

static const char *in(const struct fb_cgroup *group, const char *hierarchy)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "/%s/", hierarchy);
	for (int i = 0; i < group->path_count; i++)
		if (strstr(group->paths[i], wanted))
			return group->paths[i];
	return "";
}

static int remove_group(struct fb_cgroup *group)
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
static pid_t start_in(const struct fb_cgroup *group, int (*body)(void))
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

static int status_of(pid_t pid)
{
	int status = 0;

	CHECK(pid > 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int open_device(unsigned minor_number, int flags)
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

static int use_devices(void)
{
	CHECK(open_device(3, O_RDWR) == 0);
	CHECK(open_device(5, O_RDONLY) == 0);
	CHECK(open_device(5, O_RDWR) == -EPERM);
	CHECK(open_device(8, O_RDWR) == 0);	    /* two rules, one for each access */
	CHECK(open_device(11, O_RDONLY) == -EPERM); /* kmsg: only mknod */
	CHECK(mknod("/tmp/fastbox-test-block", S_IFBLK | 0600, makedev(7, 0)) < 0 &&
	      errno == EPERM);
	return failures;
}

static int use_memory(void)
{
	size_t size = (size_t)64 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; memory != MAP_FAILED && i < size; i += 4096)
		memory[i] = 1;
	return 0;
}

static int linger(void)
{
	/* Deaf to all that can be ignored, with a child of its own. */
	fork();
	signal(SIGTERM, SIG_IGN);
	while (pause() < 0)
		;
	return 0;
}

static int create(const struct fb_cgroup_mounts *mounts, const char *name,
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

static void test_devices(const struct fb_cgroup_mounts *mounts)
{
	struct fb_resources resources = {.devices = docker_devices, .device_count = 6};
	struct fb_cgroup group;

	if (create(mounts, "devices", &resources, &group) < 0) {
		failures++;
		return;
	}
	CHECK(group.path_count == 1);
	CHECK(status_of(start_in(&group, use_devices)) == 0);
	CHECK(remove_group(&group) == 0);
}

/* A hole in what is allowed: v2 honours it, v1 says that it can't. */
static int use_hole(void)
{
	CHECK(open_device(3, O_RDWR) == 0);
	CHECK(open_device(5, O_RDONLY) == -EPERM);
	return failures;
}

static void test_hole(const struct fb_cgroup_mounts *mounts, bool v2)
{
	struct fb_device_rule rules[] = {
	    {true, 'a', -1, -1, RWM}, {true, 'a', 1, -1, RWM}, {false, 'c', 1, 5, FB_ACCESS_READ}};
	struct fb_resources resources = {.devices = rules, .device_count = 3};
	struct fb_cgroup group;
	int r = create(mounts, "hole", &resources, &group);

	CHECK(v2 ? r == 0 : r == -EINVAL);
	if (r == 0) {
		CHECK(status_of(start_in(&group, use_hole)) == 0);
		CHECK(remove_group(&group) == 0);
	}
}

static void test_kill(const struct fb_cgroup_mounts *mounts)
{
	struct fb_resources resources = {.devices = docker_devices, .device_count = 6};
	struct fb_cgroup group, again;
	char nested[300];
	pid_t pids[3];

	if (create(mounts, "kill", &resources, &group) < 0) {
		failures++;
		return;
	}
	for (int i = 0; i < 3; i++)
		pids[i] = start_in(&group, linger);
	usleep(50000);
	CHECK(create(mounts, "kill", &resources, &again) == -EBUSY);
	snprintf(nested, sizeof(nested), "%s/inner", group.paths[0]);
	CHECK(mkdir(nested, 0755) == 0);
	strcat(nested, "/most");
	CHECK(mkdir(nested, 0755) == 0);
	CHECK(remove_group(&group) == 0);
	for (int i = 0; i < 3; i++) {
		int status = status_of(pids[i]);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

static void test_v1_limits(void)
{
	struct fb_resources resources = {
	    .devices = docker_devices,
	    .device_count = 6,
	    .has_memory_limit = true,
	    .memory_limit = 32 << 20,
	    .has_memory_swap = true,
	    .memory_swap = 32 << 20,
	    .has_memory_reservation = true,
	    .memory_reservation = 16 << 20,
	    .has_swappiness = true,
	    .swappiness = 10,
	    .has_shares = true,
	    .shares = 512,
	    .has_quota = true,
	    .quota = 50000,
	    .has_period = true,
	    .period = 100000,
	    .cpuset_cpus = "0",
	    .has_pids = true,
	    .pids = 20,
	};
	struct fb_resources raised = {.has_memory_limit = true,
				      .memory_limit = 128 << 20,
				      .has_memory_swap = true,
				      .memory_swap = 256 << 20,
				      .has_pids = true,
				      .pids = -1};
	struct fb_error err = {0};
	struct fb_cgroup group;
	int status;

	if (create(NULL, "limits", &resources, &group) < 0) {
		failures++;
		return;
	}
	CHECK(group.path_count == group.procs_count && group.into == -1 && group.path_count == 5);
	CHECK(contains(in(&group, "memory"), "memory.limit_in_bytes", "33554432"));
	CHECK(contains(in(&group, "memory"), "memory.memsw.limit_in_bytes", "33554432"));
	CHECK(contains(in(&group, "memory"), "memory.soft_limit_in_bytes", "16777216"));
	CHECK(contains(in(&group, "memory"), "memory.swappiness", "10"));
	CHECK(contains(in(&group, "cpu"), "cpu.shares", "512"));
	CHECK(contains(in(&group, "cpu"), "cpu.cfs_quota_us", "50000"));
	CHECK(contains(in(&group, "cpuset"), "cpuset.cpus", "0"));
	CHECK(contains(in(&group, "cpuset"), "cpuset.mems", "0"));
	CHECK(contains(in(&group, "pids"), "pids.max", "20"));
	CHECK(contains(in(&group, "devices"), "devices.list", "c 1:5 r"));
	CHECK(fb_cgroup_oom_killed(&group) == 0);
	status = status_of(start_in(&group, use_memory));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(fb_cgroup_oom_killed(&group) == 1);
	/* Up, then down: memory and memory+swap must be written in opposite orders. */
	CHECK(fb_cgroup_update(&group, &raised, &err) == 0);
	CHECK(contains(in(&group, "memory"), "memory.memsw.limit_in_bytes", "268435456"));
	CHECK(contains(in(&group, "pids"), "pids.max", "max"));
	CHECK(status_of(start_in(&group, use_memory)) == 0);
	resources.device_count = 0;
	CHECK(fb_cgroup_update(&group, &resources, &err) == 0);
	CHECK(contains(in(&group, "memory"), "memory.limit_in_bytes", "33554432"));
	CHECK(remove_group(&group) == 0);
}

static void test_co_mounted(void)
{
	struct fb_resources resources = {
	    .cpuset_cpus = "0", .has_memory_limit = true, .memory_limit = 1 << 20};
	struct fb_cgroup_mounts mounts;
	struct fb_error err = {0};
	struct fb_cgroup group;
	char path[256];

	/* As if memory were in cpuset's hierarchy: the second controller uses the first one's
	 * directory (a second mkdir would be EBUSY) and finds no file for its limit there; and the
	 * failure leaves nothing. */
	CHECK(fb_cgroup_find_mounts(0, &mounts, NULL) == 0);
	mounts.of[FB_CONTROLLER_MEMORY] = mounts.of[FB_CONTROLLER_CPUSET];
	snprintf(path, sizeof(path), "%s/shared", base);
	CHECK(fb_cgroup_create_in(&mounts, path, &resources, &group, &err) == -ENOENT);
	CHECK(strstr(err.path, "/cpuset/") && strstr(err.path, "/shared/memory.limit_in_bytes"));
	snprintf(path, sizeof(path), "%s%s/shared", mounts.of[FB_CONTROLLER_CPUSET].at, base);
	CHECK(access(path, F_OK) < 0);
}

static void test_refusals(const struct fb_cgroup_mounts *mounts)
{
	struct fb_resources none = {0}, pids = {.has_pids = true, .pids = 9},
			    swap = {.has_memory_swap = true, .memory_swap = 1 << 20};
	struct fb_resources below = {.has_memory_limit = true,
				     .memory_limit = 2 << 20,
				     .has_memory_swap = true,
				     .memory_swap = 1 << 20};
	struct fb_resources wrong = {.cpuset_cpus = "nine"};
	struct fb_cgroup group = {.path_count = -5};
	struct fb_error err;
	static const char *const paths[] = {
	    "/", "", "..", "/a/../b", "a/..", "system.slice:fastbox:x", "/."};
	char path[256];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		CHECK(fb_cgroup_create(paths[i], &none, 0, &group, &err) == -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	if (mounts)
		CHECK(fb_cgroup_create_in(mounts, path, &pids, &group, &err) == -ENAMETOOLONG);
	CHECK(create(NULL, "x", &swap, &group) == -EINVAL);
	CHECK(create(NULL, "x", &below, &group) == -EINVAL);
	CHECK(create(NULL, "x", &wrong, &group) == -EINVAL);
	CHECK(group.path_count == -5);
}

static void test_v2_limits(const struct fb_cgroup_mounts *mounts)
{
	char *unified[] = {(char *)"cgroup.max.depth", (char *)"3", (char *)"memory.high",
			   (char *)"20000000", NULL};
	struct fb_resources resources = {
	    .devices = docker_devices,
	    .device_count = 6,
	    .has_memory_limit = true,
	    .memory_limit = 32 << 20,
	    .has_memory_swap = true,
	    .memory_swap = 48 << 20,
	    .has_memory_reservation = true,
	    .memory_reservation = 16 << 20,
	    .has_shares = true,
	    .shares = 512,
	    .has_quota = true,
	    .quota = 50000,
	    .has_period = true,
	    .period = 200000,
	    .cpuset_cpus = "0",
	    .has_pids = true,
	    .pids = 20,
	    .unified = {unified, 2},
	};
	struct fb_resources period = {.has_period = true, .period = 100000},
			    quota = {.has_quota = true, .quota = 20000};
	struct fb_error err = {0};
	struct fb_cgroup group;
	int status;

	if (create(mounts, "limits", &resources, &group) < 0) {
		failures++;
		return;
	}
	CHECK(contains(group.paths[0], "memory.max", "33554432"));
	CHECK(contains(group.paths[0], "memory.swap.max", "16777216"));
	CHECK(contains(group.paths[0], "memory.low", "16777216"));
	CHECK(contains(group.paths[0], "cpu.weight", "59"));
	CHECK(contains(group.paths[0], "cpu.max", "50000 200000"));
	CHECK(contains(group.paths[0], "cpuset.cpus", "0"));
	CHECK(contains(group.paths[0], "pids.max", "20"));
	CHECK(contains(group.paths[0], "cgroup.max.depth", "3"));
	CHECK(fb_cgroup_update(&group, &period, &err) == 0);
	CHECK(contains(group.paths[0], "cpu.max", "50000 100000"));
	CHECK(fb_cgroup_update(&group, &quota, &err) == 0);
	CHECK(contains(group.paths[0], "cpu.max", "20000 100000"));
	CHECK(fb_cgroup_oom_killed(&group) == 0);
	status = status_of(start_in(&group, use_memory));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(fb_cgroup_oom_killed(&group) == 1);
	CHECK(remove_group(&group) == 0);
}

static void test_v2_refusals(const struct fb_cgroup_mounts *mounts)
{
	static const char *const keys[] = {"cgroup.procs", "../x.y", "memory",
					   ".x",	   "",	     "cgroup.subtree_control"};
	struct fb_resources ignored = {.has_swappiness = true, .oom_kill_disable = true, .has_kernel_memory = true,
				       .kernel_memory = 1 << 20, .has_class_id = true},
			    realtime = {.has_rt_runtime = true, .rt_runtime = 1000}, class = {.has_class_id = true, .class_id = 1},
			    absent = {0};
	char *unified[] = {NULL, (char *)"1", NULL};
	struct fb_cgroup group;

	absent.unified = (struct fb_strv){unified, 2};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		unified[0] = (char *)keys[i];
		CHECK(create(mounts, "x", &absent, &group) == -EINVAL);
	}
	unified[0] = (char *)"nothing.max";
	CHECK(create(mounts, "x", &absent, &group) == -ENOTSUP);
	CHECK(create(mounts, "x", &realtime, &group) == -ENOTSUP);
	CHECK(create(mounts, "x", &class, &group) == -ENOTSUP);
	/* As with the other runtimes. */
	CHECK(create(mounts, "x", &ignored, &group) == 0 && remove_group(&group) == 0);
}

static void test_formulas(void)
{
	CHECK(fb_cgroup_weight_of_shares(0) == 1 && fb_cgroup_weight_of_shares(2) == 1);
	CHECK(fb_cgroup_weight_of_shares(1024) == 100 && fb_cgroup_weight_of_shares(2000) == 170);
	CHECK(fb_cgroup_weight_of_shares(262144) == 10000 &&
	      fb_cgroup_weight_of_shares(UINT64_MAX) == 10000);
	for (uint64_t shares = 3; shares < 262144; shares += 101)
		CHECK(fb_cgroup_weight_of_shares(shares) <=
		      fb_cgroup_weight_of_shares(shares + 101));
}

static void time_it(const struct fb_cgroup_mounts *mounts)
{
	struct fb_resources resources = {.devices = docker_devices, .device_count = 6};
	struct timespec start, end;
	struct fb_cgroup group;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 20; i++)
		if (create(mounts, "timed", &resources, &group) == 0)
			remove_group(&group);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%s: make and remove %.0f us\n", mounts ? "v2" : "the host's own",
	       ((double)(end.tv_sec - start.tv_sec) * 1e6 +
		(double)(end.tv_nsec - start.tv_nsec) / 1e3) /
		   20);
}

static void remove_base(const struct fb_cgroup_mounts *mounts)
{
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++) {
		char path[256];
		const char *paths[] = {path};

		snprintf(path, sizeof(path), "%s%s", mounts->of[i].at, base);
		if (mounts->of[i].at[0])
			CHECK(fb_cgroup_remove(paths, 1, NULL) == 0 && access(path, F_OK) < 0);
	}
}

int main(void)
{
	struct fb_cgroup_mounts mounts, unified = {.mode = FB_CGROUP_V2};

	test_formulas();
	if (geteuid() != 0)
		return failures ? 1 : 77;
	snprintf(base, sizeof(base), "/fastbox-test-%d", (int)getpid());
	CHECK(fb_cgroup_find_mounts(0, &mounts, NULL) == 0 && fb_cgroup_detect() == mounts.mode);
	unified.of[FB_UNIFIED] = mounts.of[FB_UNIFIED];
	test_refusals(mounts.mode == FB_CGROUP_NONE ? NULL : &mounts);
	if (mounts.mode == FB_CGROUP_V1 || mounts.mode == FB_CGROUP_HYBRID) {
		test_devices(NULL);
		test_hole(NULL, false);
		test_kill(NULL);
		test_v1_limits();
		test_co_mounted();
		time_it(NULL);
	}
	if (mounts.mode == FB_CGROUP_V2 || mounts.mode == FB_CGROUP_HYBRID) {
		test_devices(&unified);
		test_hole(&unified, true);
		test_kill(&unified);
		test_v2_refusals(&unified);
		time_it(&unified);
	}
	if (mounts.mode == FB_CGROUP_V2)
		test_v2_limits(NULL);
	remove_base(&mounts);
	return failures ? 1 : 0;
}
