/* Groups as the OCI command makes and uses them: in every hierarchy, joined again, listed, frozen, counted, changed while processes run. Skipped
 * (77) without root.
 */
#include "cgroup_fixture.h"
#include "cgroup_stats.h"

/* --- every hierarchy --- */

/* A hierarchy that nobody has mounted here belongs to another's test. */
static bool counts(const char *line)
{
	return all.of[FB_CONTROLLER_NET_CLS].at[0] || !strstr(line, "net_cls");
}

static bool is_in(pid_t pid, const char *wanted, bool tell)
{
	char path[64], text[8192], *save = NULL;
	bool all_there = true;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	CHECK(fb_cgroup_read(path, "cgroup", text, sizeof(text)) > 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool there = strlen(line) >= strlen(wanted) && strcmp(line + strlen(line) - strlen(wanted), wanted) == 0;

		if (tell && !there)
			fprintf(stderr, "not in %s: %s\n", wanted, line);
		all_there &= there || !counts(line);
	}
	return all_there;
}

/* The last of its steps into the groups may not be done yet. */
static bool in_every_group(pid_t pid, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "%s/%s", base, name);
	for (int i = 0; i < 5000 && !is_in(pid, wanted, false); i++)
		usleep(1000);
	return is_in(pid, wanted, true);
}

static void test_every(void)
{
	struct fb_cgroup group, again;
	struct fb_error err = {0};
	pid_t first, second;

	CHECK(make("every", &(struct fb_resources){0}, &group) == 0);
	CHECK(group.memory[0] && group.into == (all.of[FB_UNIFIED].at[0] ? group.into : -1));
	CHECK((group.into >= 0) == (all.of[FB_UNIFIED].at[0] != '\0'));
	for (int i = 0; i < group.path_count && all.mode != FB_CGROUP_V2; i++)
		CHECK(group.controllers[i] && fb_cgroup_controller(group.controllers[i]) == group.controllers[i]);
	CHECK(!fb_cgroup_controller("nothing") && !fb_cgroup_controller(""));
	first = start_in(&group, linger);
	CHECK(in_every_group(first, "every"));
	again = group;
	again.into = -1;
	again.procs_count = 0;
	CHECK(fb_cgroup_open(&again, &err) == 0);
	CHECK((again.into >= 0) == (group.into >= 0) && again.procs_count == group.procs_count);
	second = start_in(&again, linger);
	CHECK(in_every_group(second, "every"));
	fb_cgroup_close(&again);
	CHECK(remove_group(&group) == 0);
	CHECK(WIFSIGNALED(status_of(first)) && WIFSIGNALED(status_of(second)));
	CHECK(fb_cgroup_open(&again, &err) == -ENOENT);
}

/* What its maker has set stays; processes or a stop in it are not taken over. */
static void test_existing(void)
{
	struct fb_resources none = {0}, limits = {.has_pids = true, .pids = 7};
	struct fb_cgroup group, again;
	struct fb_error err = {0};
	const char *pids;
	pid_t pid;

	CHECK(make("there", &limits, &group) == 0);
	fb_cgroup_close(&group);
	CHECK(make("there", &none, &group) == 0);
	pids = fb_cgroup_directory(&group, "pids.max");
	CHECK(pids && contains(pids, "pids.max", "7"));
	CHECK(fb_cgroup_freeze(&group, true, &err) == 0);
	CHECK(make("there", &none, &again) == -EBUSY);
	CHECK(fb_cgroup_freeze(&group, false, &err) == 0);
	/* That failure has taken those that are not frozen with it. */
	fb_cgroup_close(&group);
	CHECK(make("there", &none, &group) == 0);
	pid = start_in(&group, linger);
	CHECK(in_every_group(pid, "there"));
	CHECK(make("there", &none, &again) == -EBUSY);
	CHECK(remove_group(&group) == 0);
	CHECK(WIFSIGNALED(status_of(pid)));
}

static void test_relative(void)
{
	struct fb_cgroup group;
	struct fb_error err = {0};
	char own[256], name[64], wanted[600];

	snprintf(name, sizeof(name), "fastbox-test-relative-%d", (int)getpid());
	CHECK(fb_cgroup_create(name, &(struct fb_resources){0}, FB_CGROUP_EVERY, &group, &err) == 0);
	for (int i = 0; i < FB_HIERARCHY_COUNT; i++) {
		bool found = false;

		if (!all.of[i].at[0])
			continue;
		CHECK(fb_cgroup_own(&all, (enum fb_controller)i, own, sizeof(own), &err) == 0);
		if (all.mode == FB_CGROUP_V2 && strrchr(own, '/'))
			*strrchr(own, '/') = '\0';
		snprintf(wanted, sizeof(wanted), "%s%s/%s", all.of[i].at, own, name);
		for (int j = 0; j < group.path_count; j++)
			found |= strcmp(group.paths[j], wanted) == 0;
		CHECK(found);
	}
	CHECK(remove_group(&group) == 0);
}

/* --- freezing and listing --- */

static int count_up(void)
{
	for (;;) {
		(*shared)++;
		usleep(500);
	}
	return 0;
}

static bool is_still(void)
{
	unsigned before = *shared;

	usleep(50000);
	return *shared == before;
}

static bool is_counting(void)
{
	unsigned before = *shared;

	for (int i = 0; i < 5000 && *shared == before; i++)
		usleep(1000);
	return *shared != before;
}

static void test_freeze(const struct fb_cgroup_mounts *mounts)
{
	struct fb_resources none = {0};
	struct fb_error err = {0};
	struct fb_cgroup group;
	struct timespec start, end;
	pid_t pid;

	CHECK(create(mounts, "freeze", &none, &group) == 0);
	CHECK(fb_cgroup_frozen(&group) == 0);
	pid = start_in(&group, count_up);
	CHECK(is_counting());
	for (int i = 0; i < 3; i++) {
		CHECK(fb_cgroup_freeze(&group, true, &err) == 0 && fb_cgroup_frozen(&group) == 1);
		CHECK(is_still());
		CHECK(fb_cgroup_freeze(&group, true, &err) == 0);
		CHECK(fb_cgroup_freeze(&group, false, &err) == 0 && fb_cgroup_frozen(&group) == 0);
		CHECK(is_counting());
	}
	CHECK(fb_cgroup_freeze(&group, true, &err) == 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	CHECK(remove_group(&group) == 0); /* frozen as it is */
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(end.tv_sec - start.tv_sec < 2);
	CHECK(WIFSIGNALED(status_of(pid)));
}

static int fork_on(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		(*shared)++;
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return 0;
}

/* v1's freezer misses those that are born while it goes over the list. */
static void test_freeze_forks(void)
{
	struct fb_error err = {0};
	struct fb_cgroup group;
	pid_t pids[3];

	CHECK(make("forks", &(struct fb_resources){0}, &group) == 0);
	for (int i = 0; i < 3; i++)
		pids[i] = start_in(&group, fork_on);
	usleep(20000);
	for (int i = 0; i < 20; i++) {
		CHECK(fb_cgroup_freeze(&group, true, &err) == 0);
		CHECK(fb_cgroup_freeze(&group, false, &err) == 0);
	}
	CHECK(is_counting());
	CHECK(remove_group(&group) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(WIFSIGNALED(status_of(pids[i])));
}

/* The engine's groups on v1 have no freezer. */
static void test_no_freezer(void)
{
	struct fb_resources resources = {.devices = docker_devices, .device_count = 6};
	struct fb_error err = {0};
	struct fb_cgroup group;

	CHECK(create(NULL, "warm", &resources, &group) == 0);
	CHECK(group.path_count == 1);
	CHECK(fb_cgroup_freeze(&group, true, &err) == -ENOTSUP && fb_cgroup_frozen(&group) == 0);
	CHECK(remove_group(&group) == 0);
}

static int arrive(void)
{
	(*shared)++;
	for (;;)
		pause();
	return 0;
}

static void test_processes(const struct fb_cgroup_mounts *mounts)
{
	struct fb_error err = {0};
	struct fb_cgroup group, nothing = {0};
	pid_t pids[100], *listed = NULL;
	char nested[300], number[16];
	size_t count = 99, found = 0;

	CHECK(create(mounts, "list", &(struct fb_resources){0}, &group) == 0);
	CHECK(fb_cgroup_processes(&group, &listed, &count, &err) == 0 && count == 0);
	free(listed);
	*shared = 0;
	for (int i = 0; i < 100; i++)
		pids[i] = start_in(&group, arrive);
	/* A list of one hierarchy may show whoever is on the way into another twice, or not at all. */
	for (int i = 0; i < 5000 && *shared < 100; i++)
		usleep(1000);
	snprintf(nested, sizeof(nested), "%s/inner", group.paths[0]);
	CHECK(mkdir(nested, 0755) == 0);
	snprintf(number, sizeof(number), "%d", (int)pids[7]);
	CHECK(fb_cgroup_write(nested, "cgroup.procs", number, &err) == 0);
	CHECK(fb_cgroup_processes(&group, &listed, &count, &err) == 0 && count == 100);
	for (size_t i = 0; i < count; i++)
		for (int j = 0; j < 100; j++)
			found += listed[i] == pids[j];
	CHECK(found == 100);
	free(listed);
	CHECK(remove_group(&group) == 0);
	for (int i = 0; i < 100; i++)
		CHECK(WIFSIGNALED(status_of(pids[i])));
	CHECK(fb_cgroup_processes(&nothing, &listed, &count, &err) == -ENOENT);
}

/* --- statistics --- */

static int work(void)
{
	char *memory = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct timespec now;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec == 0 && now.tv_nsec < 50 * 1000000);
	*shared = memory != MAP_FAILED;
	for (;;)
		usleep(100000);
	return 0;
}

static uint64_t sum(const struct fb_stat_numbers *numbers)
{
	uint64_t total = 0;

	for (size_t i = 0; i < numbers->count; i++)
		total += numbers->items[i];
	return total;
}

static void check_stats(const struct fb_cgroup_stats *stats)
{
	bool v2 = all.mode == FB_CGROUP_V2;

	CHECK(stats->cpu_total >= 45 * 1000000 && stats->cpu_total < UINT64_C(60000000000));
	CHECK(stats->memory.usage >= 16 * MIB && stats->memory.limit == 64 * MIB && stats->memory.usage <= 64 * MIB);
	CHECK(stats->swap.usage >= stats->memory.usage || stats->swap.usage == 0);
	CHECK(stats->pids_current == 1 && stats->pids_limit == 9);
	CHECK(stats->memory_raw_count > 10);
	for (size_t i = 0; i < stats->memory_raw_count; i++)
		CHECK(stats->memory_raw[i].name[0] && !strchr(stats->memory_raw[i].name, ' '));
	CHECK(v2 == stats->cpu_pressure.present || !stats->cpu_pressure.present);
	if (v2)
		return;
	CHECK(stats->percpu.count == stats->percpu_user.count && stats->percpu.count >= (size_t)sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(sum(&stats->percpu) >= 45 * 1000000 && sum(&stats->percpu) <= stats->cpu_total + 50 * 1000000);
	CHECK(sum(&stats->percpu_user) + sum(&stats->percpu_kernel) > 0);
	CHECK(stats->memory.max >= stats->memory.usage && stats->cpuset.cpus.count > 0 && stats->cpuset.mems.count > 0);
	CHECK(stats->cpuset.sched_relax_domain_level == -1 && stats->cpuset.sched_load_balance == 1);
}

static void test_stats(void)
{
	struct fb_resources limits = {.has_memory_limit = true, .memory_limit = 64 * MIB, .has_pids = true, .pids = 9,
				      .has_quota = true, .quota = 10000, .has_period = true, .period = 10000, .cpuset_mems = "0"};
	struct fb_cgroup_stats stats;
	struct fb_cgroup group, nothing = {0};
	struct fb_error err = {0};
	pid_t pid;

	CHECK(make("stats", &limits, &group) == 0);
	CHECK(fb_cgroup_stats(&group, &stats, &err) == 0 && stats.pids_current == 0 && stats.cpu_total == 0);
	fb_cgroup_stats_free(&stats);
	*shared = 0;
	pid = start_in(&group, work);
	await_shared();
	CHECK(fb_cgroup_stats(&group, &stats, &err) == 0);
	check_stats(&stats);
	fb_cgroup_stats_free(&stats);
	CHECK(remove_group(&group) == 0);
	CHECK(WIFSIGNALED(status_of(pid)));
	CHECK(fb_cgroup_stats(&nothing, &stats, &err) == -ENOENT);
}

/* --- delegation --- */

static uid_t owner_of(const char *directory, const char *file)
{
	char path[512];
	struct stat st = {0};

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	CHECK(stat(path, &st) == 0);
	return st.st_uid;
}

static void test_delegation(const struct fb_cgroup_mounts *mounts)
{
	char *options[] = {NULL}, *readonly[] = {(char *)"ro", NULL};
	struct fb_mount_spec mount_spec = {.destination = "/sys/fs/cgroup", .source = "cgroup", .options = {readonly, 1}};
	struct fb_namespace ns = {.type = CLONE_NEWCGROUP};
	struct fb_mapping mapping = {.container = 0, .host = 100000, .size = 10};
	struct fb_spec spec = {.mounts = &mount_spec, .mount_count = 1, .namespaces = &ns, .namespace_count = 1,
			       .uid_mappings = &mapping, .uid_mapping_count = 1, .process = {.uid = 5}};
	struct fb_error err = {0};
	struct fb_cgroup group;

	CHECK(create(mounts, "delegate", &(struct fb_resources){0}, &group) == 0);
	CHECK(fb_cgroup_delegate(&group, &spec, &err) == 0 && owner_of(group.paths[0], "") == 0);
	mount_spec.options = (struct fb_strv){options, 0};
	spec.process.uid = 11; /* has no number outside */
	CHECK(fb_cgroup_delegate(&group, &spec, &err) == 0 && owner_of(group.paths[0], "") == 0);
	spec.process.uid = 5;
	CHECK(fb_cgroup_delegate(&group, &spec, &err) == 0);
	CHECK(owner_of(group.paths[0], "") == 100005 && owner_of(group.paths[0], "cgroup.procs") == 100005);
	CHECK(owner_of(group.paths[0], "cgroup.subtree_control") == 100005 && owner_of(group.paths[0], "cgroup.max.depth") == 0);
	CHECK(remove_group(&group) == 0);
}

static void time_it(void)
{
	struct fb_resources resources = {.devices = docker_devices, .device_count = 6};
	struct timespec start, end;
	struct fb_cgroup group;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 20; i++)
		if (make("timed", &resources, &group) == 0)
			remove_group(&group);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("every hierarchy: make and remove %.0f us\n",
	       ((double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3) / 20);
}

int main(void)
{
	struct fb_cgroup_mounts unified = {.mode = FB_CGROUP_V2, .flags = FB_CGROUP_EVERY};

	begin_every();
	unified.of[FB_UNIFIED] = all.of[FB_UNIFIED];
	test_every();
	test_existing();
	test_relative();
	test_freeze(&all);
	test_freeze_forks();
	test_processes(&all);
	test_stats();
	if (all.mode == FB_CGROUP_V1 || all.mode == FB_CGROUP_HYBRID)
		test_no_freezer();
	if (all.mode == FB_CGROUP_HYBRID) {
		test_freeze(&unified);
		test_processes(&unified);
	}
	if (unified.of[FB_UNIFIED].at[0])
		test_delegation(&unified);
	time_it();
	remove_base(&all);
	return failures ? 1 : 0;
}
