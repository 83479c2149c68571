/* The parser on the fields of the OCI specification that callers of a runtime write and the engine itself does not: for each, what is taken,
 * and that every wrong value gets one line that names the place.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "spec.h"
#include "spec_sched.h"

#define HEAD "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"
#define PROCESS HEAD "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\""
#define TOP PROCESS "},"
#define LINUX TOP "\"linux\":{"
#define RESOURCES LINUX "\"resources\":{"
#define SECCOMP LINUX "\"seccomp\":{"
#define ALLOW "\"defaultAction\":\"SCMP_ACT_ALLOW\""

static int parse(const char *text, struct fb_spec *spec, struct fb_error *err)
{
	memset(err, 0, sizeof(*err));
	return fb_spec_parse(text, strlen(text), "/bundle", spec, err);
}

static const struct {
	const char *text, *path;
} refused[] = {
	{TOP "\"hooks\":[]}", ".hooks"},
	{TOP "\"hooks\":{\"prestart\":{}}}", ".hooks.prestart"},
	{TOP "\"hooks\":{\"prestart\":[7]}}", ".hooks.prestart[0]"},
	{TOP "\"hooks\":{\"createRuntime\":[{}]}}", ".hooks.createRuntime[0].path"},
	{TOP "\"hooks\":{\"createContainer\":[{\"path\":\"x\"}]}}", ".hooks.createContainer[0].path"},
	{TOP "\"hooks\":{\"startContainer\":[{\"path\":\"/x\"},{\"path\":\"/x\",\"args\":\"a\"}]}}", ".hooks.startContainer[1].args"},
	{TOP "\"hooks\":{\"poststart\":[{\"path\":\"/x\",\"env\":[\"A\"]}]}}", ".hooks.poststart[0].env"},
	{TOP "\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":0}]}}", ".hooks.poststop[0].timeout"},
	{TOP "\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":-1}]}}", ".hooks.poststop[0].timeout"},
	{TOP "\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":\"1\"}]}}", ".hooks.poststop[0].timeout"},
	{TOP "\"annotations\":[]}", ".annotations"},
	{TOP "\"annotations\":{\"a\":1}}", ".annotations.a"},
	{TOP "\"annotations\":{\"\":\"x\"}}", ".annotations"},
	{TOP "\"mounts\":[{\"destination\":\"/x\",\"uidMappings\":7}]}", ".mounts[0].uidMappings"},
	{TOP "\"mounts\":[{\"destination\":\"/x\",\"uidMappings\":[{\"size\":1}]}]}", ".mounts[0].uidMappings"},
	{TOP "\"mounts\":[{\"destination\":\"/x\",\"gidMappings\":[{\"size\":1}]}]}", ".mounts[0].uidMappings"},
	{TOP "\"mounts\":[{\"destination\":\"/x\",\"uidMappings\":[{\"size\":0}],\"gidMappings\":[{\"size\":1}]}]}", ".mounts[0].uidMappings[0].size"},
	{TOP "\"mounts\":[{\"destination\":\"/x\",\"uidMappings\":[{\"size\":2},{\"hostID\":1,\"containerID\":9,\"size\":2}],\"gidMappings\":[{\"size\":1}]}]}", ".mounts[0].uidMappings[1]"},

	{PROCESS ",\"scheduler\":{}}}", ".process.scheduler.policy"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_MAYBE\"}}}", ".process.scheduler.policy"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_ISO\"}}}", ".process.scheduler.policy"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}}}", ".process.scheduler.nice"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}}}", ".process.scheduler.priority"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_FIFO\"}}}", ".process.scheduler.priority"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":100}}}", ".process.scheduler.priority"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"runtime\":7}}}", ".process.scheduler.runtime"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":7}}}", ".process.scheduler.runtime"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":-7}}}", ".process.scheduler.runtime"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"flags\":[\"SCHED_FLAG_X\"]}}}", ".process.scheduler.flags"},
	{PROCESS ",\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"flags\":[\"SCHED_FLAG_UTIL_CLAMP_MIN\"]}}}", ".process.scheduler.flags"},
	{PROCESS ",\"ioPriority\":{}}}", ".process.ioPriority.class"},
	{PROCESS ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_NONE\"}}}", ".process.ioPriority.class"},
	{PROCESS ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}}}", ".process.ioPriority.priority"},
	{PROCESS ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":-1}}}", ".process.ioPriority.priority"},
	{PROCESS ",\"execCPUAffinity\":{\"initial\":\"x\"}}}", ".process.execCPUAffinity.initial"},
	{PROCESS ",\"execCPUAffinity\":{\"initial\":\",\"}}}", ".process.execCPUAffinity.initial"},
	{PROCESS ",\"execCPUAffinity\":{\"final\":\"3-1\"}}}", ".process.execCPUAffinity.final"},
	{PROCESS ",\"execCPUAffinity\":{\"final\":\"1-\"}}}", ".process.execCPUAffinity.final"},
	{PROCESS ",\"execCPUAffinity\":{\"final\":\"99999999999999999999\"}}}", ".process.execCPUAffinity.final"},
	{PROCESS ",\"execCPUAffinity\":{\"final\":[0]}}}", ".process.execCPUAffinity.final"},

	{LINUX "\"personality\":{}}}", ".linux.personality.domain"},
	{LINUX "\"personality\":{\"domain\":\"SVR4\"}}}", ".linux.personality.domain"},
	{LINUX "\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"ADDR_NO_RANDOMIZE\"]}}}", ".linux.personality.flags"},
	{LINUX "\"mountLabel\":7}}", ".linux.mountLabel"},
	{LINUX "\"intelRdt\":{\"closID\":\"a/b\"}}}", ".linux.intelRdt.closID"},
	{LINUX "\"intelRdt\":{\"closID\":\"..\"}}}", ".linux.intelRdt.closID"},
	{LINUX "\"intelRdt\":{\"closID\":\".\"}}}", ".linux.intelRdt.closID"},
	{LINUX "\"intelRdt\":{\"memBwSchema\":\"L3:0=f\"}}}", ".linux.intelRdt.memBwSchema"},
	{LINUX "\"intelRdt\":{\"memBwSchema\":\"MB:0=1\\nL3:0=f\"}}}", ".linux.intelRdt.memBwSchema"},
	{LINUX "\"intelRdt\":{\"enableCMT\":1}}}", ".linux.intelRdt.enableCMT"},
	{LINUX "\"rootfsPropagation\":7}}", ".linux.rootfsPropagation"},
	{LINUX "\"uidMappings\":[{\"size\":1}],\"gidMappings\":[{\"size\":1}]}}", ".linux.uidMappings"},

	{RESOURCES "\"memory\":{\"kernel\":-2}}}}", ".linux.resources.memory.kernel"},
	{RESOURCES "\"memory\":{\"kernelTCP\":\"1\"}}}}", ".linux.resources.memory.kernelTCP"},
	{RESOURCES "\"memory\":{\"useHierarchy\":1}}}}", ".linux.resources.memory.useHierarchy"},
	{RESOURCES "\"memory\":{\"checkBeforeUpdate\":1}}}}", ".linux.resources.memory.checkBeforeUpdate"},
	{RESOURCES "\"memory\":{\"swappiness\":-1}}}}", ".linux.resources.memory.swappiness"},
	{RESOURCES "\"cpu\":{\"realtimeRuntime\":-2}}}}", ".linux.resources.cpu.realtimeRuntime"},
	{RESOURCES "\"cpu\":{\"realtimePeriod\":-1}}}}", ".linux.resources.cpu.realtimePeriod"},
	{RESOURCES "\"cpu\":{\"burst\":-1}}}}", ".linux.resources.cpu.burst"},
	{RESOURCES "\"cpu\":{\"idle\":2}}}}", ".linux.resources.cpu.idle"},
	{RESOURCES "\"cpu\":{\"cpus\":0}}}}", ".linux.resources.cpu.cpus"},
	{RESOURCES "\"pids\":{\"limit\":1.5}}}}", ".linux.resources.pids.limit"},
	{RESOURCES "\"blockIO\":{\"weight\":1001}}}}", ".linux.resources.blockIO.weight"},
	{RESOURCES "\"blockIO\":{\"leafWeight\":-1}}}}", ".linux.resources.blockIO.leafWeight"},
	{RESOURCES "\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}}}}", ".linux.resources.blockIO.weightDevice[0].weight"},
	{RESOURCES "\"blockIO\":{\"weightDevice\":[{\"minor\":0,\"weight\":10}]}}}}", ".linux.resources.blockIO.weightDevice[0].major"},
	{RESOURCES "\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":1001}]}}}}", ".linux.resources.blockIO.weightDevice[0].weight"},
	{RESOURCES "\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"rate\":1}]}}}}", ".linux.resources.blockIO.throttleReadBpsDevice[0].minor"},
	{RESOURCES "\"blockIO\":{\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":-1,\"rate\":1}]}}}}", ".linux.resources.blockIO.throttleWriteBpsDevice[0].minor"},
	{RESOURCES "\"blockIO\":{\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":-1}]}}}}", ".linux.resources.blockIO.throttleReadIOPSDevice[0].rate"},
	{RESOURCES "\"blockIO\":{\"throttleWriteIOPSDevice\":{}}}}}", ".linux.resources.blockIO.throttleWriteIOPSDevice"},
	{RESOURCES "\"hugepageLimits\":[{\"pageSize\":\"2mb\",\"limit\":1}]}}}", ".linux.resources.hugepageLimits[0].pageSize"},
	{RESOURCES "\"hugepageLimits\":[{\"pageSize\":\"../2MB\",\"limit\":1}]}}}", ".linux.resources.hugepageLimits[0].pageSize"},
	{RESOURCES "\"hugepageLimits\":[{\"pageSize\":\"2MB\"}]}}}", ".linux.resources.hugepageLimits[0].limit"},
	{RESOURCES "\"network\":{\"classID\":4294967296}}}}", ".linux.resources.network.classID"},
	{RESOURCES "\"network\":{\"priorities\":[{\"priority\":1}]}}}}", ".linux.resources.network.priorities[0].name"},
	{RESOURCES "\"network\":{\"priorities\":[{\"name\":\"eth0 9\\neth1\",\"priority\":1}]}}}}", ".linux.resources.network.priorities[0].name"},
	{RESOURCES "\"network\":{\"priorities\":[{\"name\":\"eth0\"}]}}}}", ".linux.resources.network.priorities[0].priority"},
	{RESOURCES "\"rdma\":{\"mlx4_0\":{}}}}}", ".linux.resources.rdma.mlx4_0"},
	{RESOURCES "\"rdma\":{\"mlx4_0\":7}}}}", ".linux.resources.rdma.mlx4_0"},
	{RESOURCES "\"rdma\":{\"a b\":{\"hcaHandles\":1}}}}}", ".linux.resources.rdma.a b"},
	{RESOURCES "\"rdma\":{\"mlx4_0\":{\"hcaHandles\":-1}}}}}", ".linux.resources.rdma.mlx4_0.hcaHandles"},
	{RESOURCES "\"unified\":{\"memory.high\":1}}}}", ".linux.resources.unified.memory.high"},
	{RESOURCES "\"devices\":[{\"allow\":true,\"type\":\"x\"}]}}}", ".linux.resources.devices[0].type"},
	{RESOURCES "\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}}}", ".linux.resources.devices[0].access"},

	{SECCOMP "\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/s\"}}}", ".linux.seccomp.defaultAction"},
	{SECCOMP "\"defaultAction\":\"SCMP_ACT_KILL\",\"defaultErrnoRet\":1}}}", ".linux.seccomp.defaultErrnoRet"},
	{SECCOMP ALLOW ",\"flags\":[\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"]}}}", ".linux.seccomp.flags"},
	{SECCOMP ALLOW ",\"listenerMetadata\":\"m\"}}}", ".linux.seccomp.listenerMetadata"},
	{SECCOMP ALLOW ",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}}}", ".linux.seccomp.listenerPath"},
	{SECCOMP ALLOW ",\"listenerPath\":\"s\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}}}", ".linux.seccomp.listenerPath"},
	{SECCOMP ALLOW ",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\",\"errnoRet\":1}]}}}", ".linux.seccomp.syscalls[0].errnoRet"},
	{SECCOMP ALLOW ",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_LOG\"}]}}}", ".linux.seccomp.syscalls[0].names"},
};

static void refuse(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct fb_spec spec;
		struct fb_error err;
		int r = parse(refused[i].text, &spec, &err);
		bool as_wanted = r == -EINVAL && err.code == EINVAL && err.stage == FB_STAGE_SPEC && err.detail[0] &&
				 strcmp(err.path, refused[i].path) == 0;

		CHECK(as_wanted);
		if (!as_wanted)
			fprintf(stderr, "  %s\n  %d %s %s\n", refused[i].text, r, err.path, err.detail);
		if (r == 0)
			fb_spec_free(&spec);
	}
}

static bool same(const char *text, const char *wanted)
{
	return text && strcmp(text, wanted) == 0;
}

/* Every single wrong byte of a good document: an answer, never a crash. The sanitizers see more than this does. */
static void damage(const char *good)
{
	size_t length = strlen(good);
	char *text = strdup(good);
	struct fb_spec spec;
	struct fb_error err;

	for (size_t i = 0; i < length; i++) {
		for (const char *c = "\"{}[]:,0-\\\x01"; *c; c++) {
			text[i] = *c;
			if (parse(text, &spec, &err) == 0)
				fb_spec_free(&spec);
			else
				CHECK(err.code == EINVAL && err.stage == FB_STAGE_SPEC && err.detail[0]);
		}
		text[i] = good[i];
	}
	free(text);
}

static void hooks(void)
{
	static const char text[] = TOP
		"\"hooks\":{\"poststop\":[{\"path\":\"/6\"}],\"prestart\":[{\"path\":\"/1\",\"args\":[\"one\",\"x\"],\"env\":[\"A=1\"],\"timeout\":3},{\"path\":\"/1b\"}],"
		"\"createRuntime\":[{\"path\":\"/2\"}],\"createContainer\":[{\"path\":\"/3\"}],\"startContainer\":[{\"path\":\"/4\"}],"
		"\"poststart\":[{\"path\":\"/5\"}],\"later\":[7]},\"annotations\":{\"com.example.a\":\"b\",\"c\":\"\"}}";
	static const char *const paths[FB_HOOK_KINDS] = {"/1", "/2", "/3", "/4", "/5", "/6"};
	struct fb_spec spec;
	struct fb_error err;

	CHECK(parse(text, &spec, &err) == 0);
	for (int kind = 0; kind < FB_HOOK_KINDS; kind++)
		CHECK(spec.hooks[kind].count == (kind ? 1 : 2) && same(spec.hooks[kind].items[0].path, paths[kind]));
	CHECK(spec.hooks[0].items[0].timeout == 3 && same(spec.hooks[0].items[0].args.items[1], "x"));
	CHECK(same(spec.hooks[0].items[0].env.items[0], "A=1") && spec.hooks[0].items[1].timeout == 0);
	CHECK(spec.annotations.count == 4 && same(spec.annotations.items[1], "b") && same(spec.oci_version, "1.2.0"));
	fb_spec_free(&spec);
	damage(text);
}

static void process(void)
{
	static const char text[] = PROCESS
		",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1000000,\"deadline\":2000000,\"period\":3000000,"
		"\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\",\"SCHED_FLAG_DL_OVERRUN\"]},"
		"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":7},\"execCPUAffinity\":{\"initial\":\"\",\"final\":\"0-3, 7\"}},"
		"\"mounts\":[{\"destination\":\"/m\",\"uidMappings\":[{\"containerID\":1,\"hostID\":2,\"size\":3}],\"gidMappings\":[{\"size\":4}]}],"
		"\"hostname\":\"\",\"linux\":{\"personality\":{\"domain\":\"LINUX32\",\"flags\":[]},\"mountLabel\":\"l\",\"rootfsPropagation\":\"\","
		"\"namespaces\":[{\"type\":\"user\",\"path\":\"/u\"},{\"type\":\"pid\",\"path\":\"\"}],\"uidMappings\":[{\"size\":9}],\"gidMappings\":[{\"size\":9}],"
		"\"intelRdt\":{\"closID\":\"c\",\"l3CacheSchema\":\"L3:0=f\",\"memBwSchema\":\"MB:0=20\",\"enableMBM\":true}}}";
	struct fb_spec spec;
	struct fb_error err;

	CHECK(parse(text, &spec, &err) == 0);
	CHECK(spec.process.scheduler.present && spec.process.scheduler.policy == SCHED_DEADLINE);
	CHECK(spec.process.scheduler.deadline == 2000000 && spec.process.scheduler.period == 3000000);
	CHECK(spec.process.scheduler.flags == (SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_DL_OVERRUN));
	CHECK(spec.process.io_priority.present && spec.process.io_priority.value == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7));
	CHECK(!spec.process.cpu_affinity_initial && same(spec.process.cpu_affinity_final, "0-3, 7"));
	CHECK(spec.mounts[0].uid_mapping_count == 1 && spec.mounts[0].uid_mappings[0].host == 2);
	CHECK(spec.mounts[0].gid_mapping_count == 1 && spec.mounts[0].gid_mappings[0].size == 4);
	CHECK(spec.has_personality && spec.personality == 8 && same(spec.mount_label, "l"));
	CHECK(spec.intel_rdt.present && same(spec.intel_rdt.clos_id, "c") && spec.intel_rdt.enable_mbm && !spec.intel_rdt.enable_cmt);
	CHECK(same(spec.intel_rdt.l3_cache_schema, "L3:0=f") && same(spec.intel_rdt.mem_bw_schema, "MB:0=20"));
	CHECK(!spec.hostname && !spec.namespaces[1].path && spec.uid_mapping_count == 1 && !spec.rootfs_propagation);
	fb_spec_free(&spec);
	damage(text);
	CHECK(parse(PROCESS ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":99}}}", &spec, &err) == 0);
	CHECK(spec.process.scheduler.policy == SCHED_RR && spec.process.scheduler.priority == 99);
	CHECK(!spec.process.io_priority.present && !spec.has_personality && !spec.intel_rdt.present);
	fb_spec_free(&spec);
}

static void cpu_lists(void)
{
	unsigned long mask[FB_CPU_WORDS];

	CHECK(fb_cpu_list("0-3,7", mask, FB_CPU_WORDS) == 0 && mask[0] == 0x8f && mask[1] == 0);
	CHECK(fb_cpu_list(" 64 , 1 - 2 ,", mask, FB_CPU_WORDS) == 0 && mask[0] == 6 && mask[1] == 1);
	CHECK(fb_cpu_list("8191", mask, FB_CPU_WORDS) == 0 && mask[FB_CPU_WORDS - 1] == 1ul << 63);
	CHECK(fb_cpu_list("8192", mask, FB_CPU_WORDS) < 0 && fb_cpu_list("", mask, FB_CPU_WORDS) < 0);
	CHECK(fb_cpu_list("1 2", mask, FB_CPU_WORDS) < 0);
	CHECK(fb_cpu_list("-1", mask, FB_CPU_WORDS) < 0 && fb_cpu_list("1--2", mask, FB_CPU_WORDS) < 0);
}

static void resources(void)
{
	static const char text[] =
		"{\"memory\":{\"limit\":5,\"kernel\":6,\"kernelTCP\":7,\"useHierarchy\":false,\"checkBeforeUpdate\":true},"
		"\"cpu\":{\"burst\":1,\"realtimeRuntime\":-1,\"realtimePeriod\":2,\"idle\":1,\"cpus\":\"\",\"mems\":\"0\"},"
		"\"blockIO\":{\"weight\":0,\"leafWeight\":20,\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":10,\"leafWeight\":30},{\"major\":8,\"minor\":2,\"leafWeight\":40}],"
		"\"throttleReadBpsDevice\":[{\"major\":1,\"minor\":2,\"rate\":3}],\"throttleWriteIOPSDevice\":[{\"major\":4,\"minor\":5,\"rate\":6}]},"
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":18446744073709551615}],"
		"\"network\":{\"classID\":0,\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]},"
		"\"rdma\":{\"mlx\":{\"hcaHandles\":3},\"mly\":{\"hcaObjects\":4}},\"unified\":{\"memory.high\":\"9\"},\"later\":{}}";
	static const struct fb_blkio_device wanted[] = {
		{8, 1, FB_BLKIO_WEIGHT, 10},  {8, 1, FB_BLKIO_LEAF_WEIGHT, 30}, {8, 2, FB_BLKIO_LEAF_WEIGHT, 40},
		{1, 2, FB_BLKIO_READ_BPS, 3}, {4, 5, FB_BLKIO_WRITE_IOPS, 6},
	};
	char whole[4096];
	struct fb_resources res;
	struct fb_arena arena = {0};
	struct fb_error err;

	CHECK(fb_spec_parse_resources(text, strlen(text), &arena, &res, &err) == 0);
	CHECK(res.has_kernel_memory && res.kernel_memory == 6 && res.has_kernel_tcp_memory && res.kernel_tcp_memory == 7);
	CHECK(res.has_use_hierarchy && !res.use_hierarchy && res.check_before_update && !res.has_memory_swap);
	CHECK(res.has_burst && res.burst == 1 && res.has_rt_runtime && res.rt_runtime == -1 && res.rt_period == 2);
	CHECK(res.has_cpu_idle && res.cpu_idle == 1 && !res.cpuset_cpus && same(res.cpuset_mems, "0") && !res.has_quota);
	CHECK(!res.has_blkio_weight && res.has_blkio_leaf_weight && res.blkio_leaf_weight == 20);
	CHECK(res.blkio_device_count == 5);
	for (size_t i = 0; i < res.blkio_device_count && i < 5; i++)
		CHECK(memcmp(&res.blkio_devices[i], &wanted[i], sizeof(wanted[i])) == 0);
	CHECK(res.hugepage_count == 1 && same(res.hugepages[0].size, "2MB") && res.hugepages[0].limit == UINT64_MAX);
	CHECK(res.has_class_id && res.net_priority_count == 1 && res.net_priorities[0].priority == 5);
	CHECK(res.rdma_count == 2 && same(res.rdma[0].device, "mlx") && res.rdma[0].has_handles && !res.rdma[0].has_objects);
	CHECK(res.rdma[1].objects == 4 && same(res.unified.items[1], "9"));
	snprintf(whole, sizeof(whole), "%s%s}}", LINUX "\"resources\":", text);
	damage(whole);
	CHECK(fb_spec_parse_resources("{\"memory\":7}", 12, &arena, &res, &err) == -EINVAL && same(err.path, ".memory"));
	CHECK(fb_spec_parse_resources("[]", 2, &arena, &res, &err) == -EINVAL);
	fb_arena_free(&arena);
}

static void alone(void)
{
	static const char text[] = "{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":7},\"execCPUAffinity\":{\"initial\":\"1\"}}";
	struct fb_process_spec process_spec;
	struct fb_arena arena = {0};
	struct fb_error err;

	CHECK(fb_spec_parse_process(text, strlen(text), &arena, &process_spec, &err) == 0);
	CHECK(process_spec.uid == 7 && same(process_spec.cpu_affinity_initial, "1"));
	CHECK(fb_spec_parse_process("{\"cwd\":\"/\"}", 11, &arena, &process_spec, &err) == -EINVAL && same(err.path, ".args"));
	CHECK(fb_spec_parse_process("{", 1, &arena, &process_spec, &err) == -EINVAL);
	fb_arena_free(&arena);
}

static void seccomp(void)
{
	static const char text[] = SECCOMP ALLOW
		",\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\",\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\",\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],"
		"\"architectures\":[\"SCMP_ARCH_LOONGARCH64\",\"SCMP_ARCH_M68K\",\"SCMP_ARCH_SH\",\"SCMP_ARCH_SHEB\",\"SCMP_ARCH_PARISC64\"],"
		"\"listenerPath\":\"/s\",\"listenerMetadata\":\"m\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"},"
		"{\"names\":[\"a\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},{\"names\":[\"a\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":7}]}}}";
	struct fb_spec spec;
	struct fb_error err;

	CHECK(parse(text, &spec, &err) == 0);
	CHECK(spec.seccomp->flags == (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
				      SECCOMP_FILTER_FLAG_NEW_LISTENER | 1u << 5));
	CHECK(spec.seccomp->architecture_count == 5 && spec.seccomp->architectures[2] == AUDIT_ARCH_SHEL);
	CHECK(spec.seccomp->rules[0].action == SECCOMP_RET_USER_NOTIF && spec.seccomp->rules[2].action == (SECCOMP_RET_TRACE | 7));
	CHECK(same(spec.seccomp->listener_path, "/s") && same(spec.seccomp->listener_metadata, "m"));
	fb_spec_free(&spec);
	damage(text);
	/* Without the action there is no listener, whatever the path. */
	CHECK(parse(SECCOMP ALLOW ",\"listenerPath\":\"/s\"}}}", &spec, &err) == 0 && spec.seccomp->flags == 0);
	fb_spec_free(&spec);
}

int main(void)
{
	refuse();
	hooks();
	process();
	cpu_lists();
	resources();
	alone();
	seccomp();
	return failures ? 1 : 0;
}
