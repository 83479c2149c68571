/* Limits of groups in every hierarchy, at their start and changed while processes run. Skipped (77) without root. */
#include <sys/mount.h>

#include "cgroup_fixture.h"

/* How often /dev/null could not be opened goes up by 1, a success by 65536. */
static int open_null(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		*shared += fd < 0 ? 1 : 1 << 16;
		close(fd);
	}
	return 0;
}

static int try_full(void)
{
	return open_device(7, O_RDWR) == 0 ? 0 : 1;
}

static void test_device_update(const struct fb_cgroup_mounts *mounts)
{
	struct fb_device_rule more[] = {{false, 'a', -1, -1, RWM}, {true, 'c', -1, -1, FB_ACCESS_MKNOD}, {true, 'c', 1, 3, RWM}, {true, 'c', 1, 7, RWM}};
	struct fb_device_rule open_rules[] = {{true, 'a', -1, -1, RWM}, {false, 'c', 1, 7, FB_ACCESS_WRITE}};
	struct fb_resources narrow = {.devices = docker_devices, .device_count = 6}, wide = {.devices = more, .device_count = 4},
			    except = {.devices = open_rules, .device_count = 2};
	struct fb_error err = {0};
	struct fb_cgroup group;
	pid_t pid;

	CHECK(create(mounts, "change", &narrow, &group) == 0);
	*shared = 0;
	pid = start_in(&group, open_null);
	await_shared();
	for (int i = 0; i < 100; i++)
		CHECK(fb_cgroup_update(&group, i % 2 ? &narrow : &wide, &err) == 0);
	CHECK(*shared >> 16 > 100 && (*shared & 0xffff) == 0);
	CHECK(status_of(start_in(&group, try_full)) != 0);
	CHECK(fb_cgroup_update(&group, &wide, &err) == 0 && status_of(start_in(&group, try_full)) == 0);
	CHECK(fb_cgroup_update(&group, &except, &err) == 0 && status_of(start_in(&group, try_full)) != 0);
	CHECK(fb_cgroup_update(&group, &narrow, &err) == 0 && status_of(start_in(&group, try_full)) != 0);
	/* What is not mentioned stays. */
	CHECK(fb_cgroup_update(&group, &(struct fb_resources){0}, &err) == 0 && status_of(start_in(&group, try_full)) != 0);
	CHECK(remove_group(&group) == 0);
	CHECK(WIFSIGNALED(status_of(pid)));
}

static int hold_memory(void)
{
	char *memory = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	*shared = 1;
	for (;;)
		usleep(100000);
	return 0;
}

static void test_memory_update(void)
{
	bool v2 = all.mode == FB_CGROUP_V2;
	struct fb_resources limits = {.has_memory_limit = true, .memory_limit = 64 * MIB, .has_memory_swap = true, .memory_swap = 64 * MIB};
	struct fb_resources below = {.has_memory_limit = true, .memory_limit = 16 * MIB, .check_before_update = true},
			    swap = {.has_memory_swap = true, .memory_swap = 128 * MIB},
			    low = {.has_memory_swap = true, .memory_swap = 32 * MIB},
			    nothing = {.has_memory_limit = true, .has_memory_swap = true, .has_memory_reservation = true, .has_pids = true,
				       .has_quota = true, .has_period = true, .has_shares = true},
			    unlimited = {.has_memory_limit = true, .memory_limit = -1};
	struct fb_error err = {0};
	struct fb_cgroup group;
	pid_t pid;

	CHECK(make("memory", &limits, &group) == 0);
	*shared = 0;
	pid = start_in(&group, hold_memory);
	await_shared();
	CHECK(fb_cgroup_update(&group, &below, &err) == -EBUSY && err.detail[0]);
	CHECK(contains(group.memory, v2 ? "memory.max" : "memory.limit_in_bytes", "67108864"));
	CHECK(fb_cgroup_update(&group, &nothing, &err) == 0);
	CHECK(contains(group.memory, v2 ? "memory.max" : "memory.limit_in_bytes", "67108864"));
	CHECK(fb_cgroup_update(&group, &swap, &err) == 0);
	CHECK(contains(group.memory, v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", v2 ? "67108864" : "134217728"));
	CHECK(fb_cgroup_update(&group, &low, &err) == -EINVAL);
	CHECK(fb_cgroup_update(&group, &unlimited, &err) == 0);
	CHECK(contains(group.memory, v2 ? "memory.max" : "memory.limit_in_bytes", v2 ? "max" : "9223372036854771712"));
	CHECK(remove_group(&group) == 0);
	CHECK(WIFSIGNALED(status_of(pid)));
}

static void test_cpu(void)
{
	bool v2 = all.mode == FB_CGROUP_V2;
	const char *burst_file = v2 ? "cpu.max.burst" : "cpu.cfs_burst_us", *shares_file = v2 ? "cpu.weight" : "cpu.shares";
	struct fb_resources limits = {.has_quota = true, .quota = 50000, .has_period = true, .period = 100000, .has_burst = true, .burst = 40000,
				      .has_shares = true, .shares = 512};
	struct fb_resources more = {.has_quota = true, .quota = 90000, .has_burst = true, .burst = 80000},
			    less = {.has_quota = true, .quota = 20000, .has_burst = true, .burst = 10000},
			    high = {.has_quota = true, .quota = 20000, .has_burst = true, .burst = 30000},
			    idle = {.has_cpu_idle = true, .cpu_idle = 1, .has_shares = true, .shares = 512},
			    busy = {.has_cpu_idle = true, .cpu_idle = 0, .has_shares = true, .shares = 1024};
	struct fb_error err = {0};
	struct fb_cgroup group;
	const char *cpu;

	CHECK(make("cpu", &limits, &group) == 0);
	cpu = fb_cgroup_directory(&group, shares_file);
	CHECK(cpu && contains(cpu, burst_file, "40000") && contains(cpu, shares_file, v2 ? "59" : "512"));
	CHECK(fb_cgroup_update(&group, &more, &err) == 0 && contains(cpu, burst_file, "80000"));
	CHECK(fb_cgroup_update(&group, &less, &err) == 0 && contains(cpu, burst_file, "10000"));
	CHECK(contains(cpu, v2 ? "cpu.max" : "cpu.cfs_quota_us", "20000"));
	CHECK(fb_cgroup_update(&group, &high, &err) < 0);
	CHECK(fb_cgroup_update(&group, &idle, &err) == 0 && contains(cpu, "cpu.idle", "1"));
	CHECK(fb_cgroup_update(&group, &busy, &err) == 0 && contains(cpu, "cpu.idle", "0"));
	CHECK(contains(cpu, shares_file, v2 ? "100" : "1024"));
	CHECK(remove_group(&group) == 0);
}

/* On v1 a group has the realtime that its parent gives it: none, unless somebody provided for it. */
static void test_realtime(void)
{
	struct fb_resources some = {.has_rt_runtime = true, .rt_runtime = 10000, .has_rt_period = true, .rt_period = 100000};
	char parent[256], full[300];
	struct fb_cgroup group;

	snprintf(parent, sizeof(parent), "%s%s", all.of[FB_CONTROLLER_CPU].at, base);
	snprintf(full, sizeof(full), "%s/cpu.rt_runtime_us", parent);
	CHECK(mkdir(parent, 0755) == 0 || errno == EEXIST);
	if (access(full, F_OK) < 0) {
		CHECK(make("realtime", &some, &group) == -ENOTSUP);
		return;
	}
	CHECK(make("realtime", &some, &group) == -EINVAL);
	CHECK(fb_cgroup_write(parent, "cpu.rt_runtime_us", "200000", NULL) == 0);
	CHECK(make("realtime", &some, &group) == 0);
	CHECK(contains(fb_cgroup_directory(&group, "cpu.rt_runtime_us"), "cpu.rt_runtime_us", "10000"));
	CHECK(contains(fb_cgroup_directory(&group, "cpu.rt_runtime_us"), "cpu.rt_period_us", "100000"));
	CHECK(remove_group(&group) == 0);
}

/* --- devices and networks --- */

/* A whole disk of this machine; loop0 is there on most without being one. */
static bool find_disk(unsigned *ret_major, unsigned *ret_minor)
{
	FILE *file = fopen("/proc/partitions", "re");
	char line[256], name[64];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%u %u %*u %63s", ret_major, ret_minor, name) == 3 && *ret_minor % 16 == 0;
	if (file)
		fclose(file);
	return found;
}

static void test_blkio(void)
{
	bool v2 = all.mode == FB_CGROUP_V2;
	struct fb_blkio_device devices[4] = {{0, 0, FB_BLKIO_READ_BPS, 1 << 20}, {0, 0, FB_BLKIO_WRITE_BPS, 2 << 20},
					     {0, 0, FB_BLKIO_READ_IOPS, 300}, {0, 0, FB_BLKIO_WRITE_IOPS, 400}};
	struct fb_resources limits = {.blkio_devices = devices, .blkio_device_count = 4}, leaf = {.has_blkio_leaf_weight = true, .blkio_leaf_weight = 20};
	struct fb_blkio_device none = {4095, 1048575, FB_BLKIO_READ_BPS, 1}, lifted;
	struct fb_error err = {0};
	struct fb_cgroup group;
	const char *directory;
	char wanted[96];

	CHECK(make("leaf", &leaf, &group) == -ENOTSUP); /* no kernel since 5.0 */
	CHECK(make("none", &(struct fb_resources){.blkio_devices = &none, .blkio_device_count = 1}, &group) < 0);
	if (!find_disk(&devices[0].major, &devices[0].minor)) {
		printf("no disk: block I/O limits not tried\n");
		return;
	}
	for (int i = 1; i < 4; i++) {
		devices[i].major = devices[0].major;
		devices[i].minor = devices[0].minor;
	}
	if (make("blkio", &limits, &group) < 0) {
		failures++;
		return;
	}
	directory = fb_cgroup_directory(&group, v2 ? "io.max" : "blkio.throttle.read_bps_device");
	snprintf(wanted, sizeof(wanted), v2 ? "%u:%u rbps=1048576 wbps=2097152 riops=300 wiops=400" : "%u:%u 1048576", devices[0].major, devices[0].minor);
	CHECK(directory && contains(directory, v2 ? "io.max" : "blkio.throttle.read_bps_device", wanted));
	snprintf(wanted, sizeof(wanted), v2 ? "%u:%u" : "%u:%u 400", devices[0].major, devices[0].minor);
	CHECK(directory && contains(directory, v2 ? "io.max" : "blkio.throttle.write_iops_device", wanted));
	lifted = devices[3];
	lifted.value = 0;
	CHECK(fb_cgroup_update(&group, &(struct fb_resources){.blkio_devices = &lifted, .blkio_device_count = 1}, &err) == 0);
	CHECK(directory && (v2 ? contains(directory, "io.max", "wiops=max") : fb_cgroup_read(directory, "blkio.throttle.write_iops_device", wanted, sizeof(wanted)) == 0));
	CHECK(remove_group(&group) == 0);
}

static void test_hugepages(void)
{
	struct fb_hugepage_limit limit = {"2MB", 4 * MIB}, odd = {"3MB", MIB};
	struct fb_resources limits = {.hugepages = &limit, .hugepage_count = 1}, wrong = {.hugepages = &odd, .hugepage_count = 1};
	struct fb_rdma_limit rdma = {.device = "fastbox0", .has_handles = true, .handles = 3};
	struct fb_cgroup group;
	const char *directory;
	char there[256] = "";

	fb_cgroup_read(all.of[FB_UNIFIED].at, "cgroup.controllers", there, sizeof(there));
	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK) < 0 || (!all.of[FB_CONTROLLER_HUGETLB].at[0] && !strstr(there, "hugetlb"))) {
		CHECK(make("huge", &limits, &group) == -ENOTSUP);
		return;
	}
	CHECK(make("huge", &limits, &group) == 0);
	directory = fb_cgroup_directory(&group, "hugetlb.2MB.max");
	CHECK(directory ? contains(directory, "hugetlb.2MB.max", "4194304") && contains(directory, "hugetlb.2MB.rsvd.max", "4194304") :
			  contains(in(&group, "hugetlb"), "hugetlb.2MB.limit_in_bytes", "4194304"));
	CHECK(remove_group(&group) == 0);
	CHECK(make("huge", &wrong, &group) == -ENOTSUP);
	CHECK(make("rdma", &(struct fb_resources){.rdma = &rdma, .rdma_count = 1}, &group) < 0);
}

/* A hierarchy stays in the kernel when it is unmounted before its last group, removed a moment ago, is freed. */
static void await_freed(void)
{
	char text[2048];
	const char *line;
	int groups = 0;

	for (int i = 0; i < 2000; i++) {
		CHECK(fb_cgroup_read("/proc", "cgroups", text, sizeof(text)) > 0);
		line = strstr(text, "\nnet_cls");
		CHECK(line && sscanf(line, "\nnet_cls %*d %d", &groups) == 1);
		if (groups == 1)
			return;
		usleep(1000);
	}
	CHECK(groups == 1);
}

/* Two controllers in one hierarchy, which many machines have; here in a mount namespace of the test's own. */
static int in_own_mounts(void)
{
	struct fb_priority lo = {"lo", 5}, absent = {"fastbox-none", 1};
	struct fb_resources limits = {.has_class_id = true, .class_id = 0x100001, .net_priorities = &lo, .net_priority_count = 1};
	struct fb_resources wrong = {.net_priorities = &absent, .net_priority_count = 1};
	char at[] = "/tmp/fastbox-test-net-XXXXXX", path[300], text[8192];
	const char *paths[] = {path};
	struct fb_cgroup group;
	int count = 0;

	failures = 0;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(at))
		return 1;
	if (mount("cgroup", at, "cgroup", 0, "net_cls,net_prio") < 0) {
		CHECK(make("net", &limits, &group) == -ENOTSUP);
		rmdir(at);
		return failures;
	}
	CHECK(fb_cgroup_find_mounts(FB_CGROUP_EVERY, &all, NULL) == 0);
	CHECK(strcmp(all.of[FB_CONTROLLER_NET_CLS].at, at) == 0 && strcmp(all.of[FB_CONTROLLER_NET_PRIO].at, at) == 0);
	CHECK(make("net", &limits, &group) == 0);
	for (int i = 0; i < group.path_count; i++)
		count += strncmp(group.paths[i], at, strlen(at)) == 0;
	CHECK(count == 1);
	CHECK(contains(fb_cgroup_directory(&group, "net_cls.classid"), "net_cls.classid", "1048577"));
	CHECK(contains(fb_cgroup_directory(&group, "net_prio.ifpriomap"), "net_prio.ifpriomap", "lo 5"));
	CHECK(remove_group(&group) == 0);
	CHECK(make("net", &wrong, &group) == -ENODEV);
	snprintf(path, sizeof(path), "%s%s", at, base);
	CHECK(fb_cgroup_remove(paths, 1, NULL) == 0);
	await_freed();
	CHECK(umount(at) == 0 && rmdir(at) == 0);
	for (int i = 0; i < 2000 && fb_cgroup_read("/proc/self", "cgroup", text, sizeof(text)) > 0 && strstr(text, "net_cls"); i++)
		usleep(1000);
	CHECK(!strstr(text, "net_cls"));
	return failures;
}

static void test_net(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(in_own_mounts());
	CHECK(status_of(pid) == 0);
}

int main(void)
{
	struct fb_cgroup_mounts unified = {.mode = FB_CGROUP_V2, .flags = FB_CGROUP_EVERY};

	begin_every();
	unified.of[FB_UNIFIED] = all.of[FB_UNIFIED];
	test_device_update(&all);
	test_memory_update();
	test_cpu();
	test_blkio();
	test_hugepages();
	if (all.mode == FB_CGROUP_V1 || all.mode == FB_CGROUP_HYBRID) {
		test_realtime();
		test_net();
	}
	if (all.mode == FB_CGROUP_HYBRID)
		test_device_update(&unified);
	remove_base(&all);
	return failures ? 1 : 0;
}
