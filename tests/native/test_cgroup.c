/* Real groups below fastbox-test-<pid>, removed at the end. Skipped (77) without root. */
#include "cgroup_fixture.h"

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

static int use_hole(void)
{
	CHECK(open_device(3, O_RDWR) == 0);
	CHECK(open_device(5, O_RDONLY) == -EPERM);
	return failures;
}

static void rules_allow_1_3_only(const struct fb_cgroup_mounts *mounts, struct fb_device_rule *rules, size_t count, int expected)
{
	struct fb_resources resources = {.devices = rules, .device_count = count};
	struct fb_cgroup group;
	int r = create(mounts, "hole", &resources, &group);

	CHECK(r == expected);
	if (r == 0) {
		CHECK(status_of(start_in(&group, use_hole)) == 0);
		CHECK(remove_group(&group) == 0);
	}
}

/* A hole in what is excepted: v2 honours it, v1 says that it can't. The last rule decides in both. */
static void test_hole(const struct fb_cgroup_mounts *mounts, bool v2)
{
	struct fb_device_rule hole[] = {
	    {false, 'a', -1, -1, RWM}, {true, 'c', 1, -1, RWM}, {false, 'c', 1, 5, FB_ACCESS_READ}};
	struct fb_device_rule exception[] = {
	    {true, 'a', -1, -1, RWM}, {true, 'a', 1, -1, RWM}, {false, 'c', 1, 5, FB_ACCESS_READ}};
	struct fb_device_rule narrow_then_wide[] = {{false, 'a', -1, -1, RWM},
						    {true, 'c', 1, 5, RWM},
						    {false, 'c', 10, 229, RWM},
						    {true, 'c', -1, -1, FB_ACCESS_MKNOD},
						    {false, 'c', 1, -1, FB_ACCESS_READ | FB_ACCESS_WRITE},
						    {true, 'c', 1, 3, RWM}};

	rules_allow_1_3_only(mounts, hole, 3, v2 ? 0 : -EINVAL);
	rules_allow_1_3_only(mounts, exception, 3, 0);
	rules_allow_1_3_only(mounts, narrow_then_wide, 6, 0);
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
	for (int i = 0; i < 5000 && fb_cgroup_list(group.paths[0], NULL) < 6; i++)
		usleep(1000);
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

static bool is_ending(pid_t pid)
{
	char path[64], text[512] = "", *end;
	unsigned flags = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return !end || sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1 || flags & 4; /* PF_EXITING */
}

/* What is about to end is listed, can't be moved, and keeps nobody waiting: here one that has much memory to give back first. */
static void test_join(void)
{
	struct fb_resources resources = {.device_count = 6, .devices = docker_devices};
	size_t size = (size_t)512 << 20;
	struct fb_error err = {0};
	struct fb_cgroup group;
	int ready[2];
	char byte;
	pid_t pid;

	if (create(NULL, "join", &resources, &group) < 0 || pipe2(ready, O_CLOEXEC) < 0) {
		failures++;
		return;
	}
	pid = fork();
	if (pid == 0) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int i = 0; i < group.procs_count; i++)
			if (write(group.procs[i], "0", 1) != 1)
				_exit(99);
		if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE) < 0 || madvise(memory, size, MADV_POPULATE_WRITE) < 0)
			_exit(98);
		_exit(write(ready[1], "", 1) != 1 || pause() == 0);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	while (!is_ending(pid))
		;
	if (fb_cgroup_join_freezer(&group, &err) < 0) {
		explain(&err);
		failures++;
	}
	CHECK(WIFSIGNALED(status_of(pid)));
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
		test_join();
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
