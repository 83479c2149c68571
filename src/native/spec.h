/* The OCI runtime configuration as typed data: parsed from config.json, validated, nothing decided yet.
 *
 * Unknown properties are ignored (the specification demands it); unknown *values* of a known enum
 * (namespace, capability, rlimit, seccomp action, propagation) are an error, never a default.
 * All memory is the arena's.
 */
#ifndef FB_SPEC_H
#define FB_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena.h"
#include "error.h"
#include "health_rules.h"
#include "restart_policy.h"

#define FB_SPEC_MAX_BYTES ((size_t)4 << 20)
#define FB_SPEC_MAX_DEPTH 64

struct json_object;

struct fb_strv { /* items[count] is NULL */
	char **items;
	size_t count;
};

struct fb_mapping {
	uint32_t container, host, size;
};

/* A process of another container: its number means it only as long as its start time (field 22 of /proc/PID/stat) is this. */
struct fb_process_ref {
	pid_t pid;
	uint64_t start_time; /* 0: not asked for */
};

struct fb_namespace {
	uint64_t type;	  /* one CLONE_NEW* */
	const char *path; /* NULL: a new one */
	uint64_t start_time; /* of the process in the path; 0: any */
};

struct fb_mount_spec {
	const char *destination, *type, *source; /* type and source may be NULL */
	const char *subpath;			 /* the engine's own: a path in the source, with links that lead nowhere else; or NULL */
	struct fb_strv options;
	struct fb_process_ref of; /* in whose mount namespace the source is; 0: in the caller's */
	struct fb_mapping *uid_mappings, *gid_mappings; /* of an id-mapped mount ("idmap", "ridmap" without them: the container's) */
	size_t uid_mapping_count, gid_mapping_count;
};

struct fb_hook {
	const char *path;
	struct fb_strv args, env; /* no args: the path alone */
	unsigned timeout;	  /* seconds; 0: none */
};

/* In the order in which they run. */
enum fb_hook_kind {
	FB_HOOK_PRESTART,
	FB_HOOK_CREATE_RUNTIME,
	FB_HOOK_CREATE_CONTAINER,
	FB_HOOK_START_CONTAINER,
	FB_HOOK_POSTSTART,
	FB_HOOK_POSTSTOP,
	FB_HOOK_KINDS
};

struct fb_hooks {
	struct fb_hook *items;
	size_t count;
};

struct fb_scheduler {
	bool present;
	uint32_t policy; /* SCHED_* */
	int32_t nice;
	int32_t priority;
	uint64_t flags; /* SCHED_FLAG_* */
	uint64_t runtime, deadline, period; /* ns */
};

struct fb_io_priority {
	bool present;
	int value; /* as ioprio_set(2) takes it: class and level */
};

struct fb_intel_rdt {
	bool present;
	const char *clos_id, *l3_cache_schema, *mem_bw_schema;
	bool enable_cmt, enable_mbm;
};

struct fb_rlimit {
	int resource;
	uint64_t soft, hard;
};

struct fb_device { /* a node to make */
	const char *path;
	char type; /* c, b, u or p */
	uint32_t major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct fb_device_rule {
	bool allow;
	char type;	      /* a, b, c */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* FB_ACCESS_* */
};
#define FB_ACCESS_READ 1u
#define FB_ACCESS_WRITE 2u
#define FB_ACCESS_MKNOD 4u

struct fb_capabilities { /* bit n: capability n */
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

enum fb_blkio_setting {
	FB_BLKIO_WEIGHT,
	FB_BLKIO_LEAF_WEIGHT,
	FB_BLKIO_READ_BPS,
	FB_BLKIO_WRITE_BPS,
	FB_BLKIO_READ_IOPS,
	FB_BLKIO_WRITE_IOPS
};

struct fb_blkio_device {
	uint32_t major, minor;
	enum fb_blkio_setting setting;
	uint64_t value;
};

struct fb_hugepage_limit {
	const char *size; /* "2MB", as the cgroup files are called */
	uint64_t limit;
};

struct fb_priority {
	const char *name;
	uint32_t priority;
};

struct fb_rdma_limit {
	const char *device;
	bool has_handles, has_objects;
	uint32_t handles, objects;
};

/* What is absent has its has_ flag false; the numbers are as OCI has them (bytes, microseconds). */
struct fb_resources {
	bool has_memory_limit, has_memory_swap, has_memory_reservation, has_swappiness, oom_kill_disable;
	int64_t memory_limit, memory_swap, memory_reservation; /* -1: unlimited; swap is memory+swap, as in OCI */
	uint64_t swappiness;
	bool has_shares, has_quota, has_period;
	uint64_t shares, period;
	int64_t quota;
	const char *cpuset_cpus, *cpuset_mems; /* NULL: not set */
	bool has_pids;
	int64_t pids; /* <= 0: unlimited */
	bool has_blkio_weight;
	uint16_t blkio_weight;
	bool has_kernel_memory, has_kernel_tcp_memory, has_use_hierarchy, use_hierarchy, check_before_update;
	int64_t kernel_memory, kernel_tcp_memory;
	bool has_burst, has_rt_runtime, has_rt_period, has_cpu_idle;
	uint64_t burst, rt_period;
	int64_t rt_runtime, cpu_idle;
	bool has_blkio_leaf_weight;
	uint16_t blkio_leaf_weight;
	struct fb_blkio_device *blkio_devices;
	size_t blkio_device_count;
	struct fb_hugepage_limit *hugepages;
	size_t hugepage_count;
	bool has_class_id;
	uint32_t class_id;
	struct fb_priority *net_priorities;
	size_t net_priority_count;
	struct fb_rdma_limit *rdma;
	size_t rdma_count;
	struct fb_device_rule *devices;
	size_t device_count;
	struct fb_strv unified; /* key, value, key, value: cgroup v2 files */
};

struct fb_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	int op; /* SCMP_CMP_* */
};

struct fb_seccomp_rule {
	struct fb_strv names;
	uint32_t action;	 /* SCMP_ACT_*, errno folded in */
	struct fb_seccomp_arg *args;
	size_t arg_count;
};

struct fb_seccomp_spec {
	uint32_t default_action;
	uint32_t *architectures; /* SCMP_ARCH_* */
	size_t architecture_count;
	unsigned flags; /* SECCOMP_FILTER_FLAG_*; NEW_LISTENER when an action is SCMP_ACT_NOTIFY */
	struct fb_seccomp_rule *rules;
	size_t rule_count;
	const char *listener_path, *listener_metadata; /* NULL: not given */
};

struct fb_process_spec {
	bool terminal;
	unsigned short rows, columns; /* 0: unknown */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	bool has_umask;
	mode_t umask;
	struct fb_strv args, env;
	const char *cwd;
	bool has_capabilities;
	struct fb_capabilities capabilities;
	const char *unknown_capability; /* a name that is none, and was left out; NULL: there was none */
	struct fb_rlimit *rlimits;
	size_t rlimit_count;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int oom_score_adj;
	const char *apparmor, *selinux; /* NULL: not set */
	struct fb_scheduler scheduler;
	struct fb_io_priority io_priority;
	const char *cpu_affinity_initial, *cpu_affinity_final; /* exec only; NULL: not set */
	/* From `fastbox`, or from an exec's document: looked up in the image. */
	const char *user;     /* NULL: uid, gid and groups above as they stand */
	struct fb_strv group_add;
};

enum fb_stdin_mode { FB_STDIN_NONE, FB_STDIN_ONCE, FB_STDIN_OPEN };

enum fb_log_driver { FB_LOG_NONE, FB_LOG_JSON, FB_LOG_LOCAL, FB_LOG_JOURNALD, FB_LOG_SYSLOG };
enum fb_log_format { FB_LOG_FORMAT_UNIX, FB_LOG_FORMAT_RFC3164, FB_LOG_FORMAT_RFC5424, FB_LOG_FORMAT_RFC5424_MICRO };

struct fb_log_spec {
	enum fb_log_driver driver;
	const char *path; /* the file, or the local socket */
	uint64_t max_size; /* bytes; 0: no rotation */
	unsigned max_file; /* with the predecessors; 0: 1 */
	struct fb_strv pack; /* the command that compresses predecessors, to which the path is added; empty: none does */
	struct fb_log_spec *cache; /* of a driver that can't be read: a file that is told the same; NULL: none */
	uint64_t buffer; /* bytes kept for a socket that takes none, then lines are dropped; 0: the container waits */
	struct fb_strv attrs; /* name, value, ...: in each record */
	const char *protocol, *address, *tag; /* syslog's; address: of udp and tcp, in numbers */
	unsigned port, facility;
	enum fb_log_format format;
};

struct fb_engine_spec { /* the `fastbox` object; every pointer NULL and every number 0 without one */
	const char *id, *name, *directory, *run;
	const char *network; /* the path of its network.json; NULL: no network of the engine's */
	struct fb_strv lower; /* topmost first; empty: no overlay */
	const char *upper, *work;
	bool overlay_volatile;
	const char *init;
	struct fb_log_spec log;
	enum fb_stdin_mode stdin_mode;
	bool remove;
	const char *seccomp_cache;
	int stop_signal; /* 0: none was chosen */
	struct fb_restart restart;
	struct fb_health_spec health;
};

struct fb_spec {
	struct fb_arena arena;
	struct fb_process_spec process;
	const char *root_path; /* absolute: joined with the bundle's directory when it was relative */
	bool root_readonly;
	const char *hostname, *domainname;
	struct fb_mount_spec *mounts;
	size_t mount_count;
	struct fb_namespace *namespaces;
	size_t namespace_count;
	struct fb_mapping *uid_mappings, *gid_mappings;
	size_t uid_mapping_count, gid_mapping_count;
	const char *timens_offsets; /* lines for /proc/self/timens_offsets, or NULL */
	struct fb_device *devices;
	size_t device_count;
	const char *cgroups_path; /* NULL: none asked for */
	struct fb_resources resources;
	struct fb_strv sysctl; /* key, value, key, value */
	struct fb_strv masked_paths, readonly_paths;
	unsigned long rootfs_propagation; /* MS_PRIVATE ...; 0: not set */
	struct fb_seccomp_spec *seccomp;  /* NULL: no filter */
	const char *mount_label;	  /* NULL: none */
	bool has_personality;
	unsigned long personality;
	struct fb_intel_rdt intel_rdt;
	struct fb_hooks hooks[FB_HOOK_KINDS];
	struct fb_strv annotations; /* key, value, key, value */
	const char *oci_version;
	struct fb_engine_spec engine;
};

/* Parse and validate `<bundle>/config.json` (a regular file, at most FB_SPEC_MAX_BYTES, never waits on a fifo). */
int fb_spec_load(const char *bundle, struct fb_spec *ret_spec, struct fb_error *err);
int fb_spec_parse(const char *text, size_t length, const char *bundle, struct fb_spec *ret_spec,
		  struct fb_error *err);

/* Parse an exec's document (`{"process": ..., "user": ..., "groups": [...]}`) into `ret_process`, memory from `arena`. */
int fb_spec_parse_exec(const char *text, size_t length, struct fb_arena *arena,
		       struct fb_process_spec *ret_process, bool *ret_privileged, struct fb_error *err);
/* A process object by itself, as `exec --process` takes it. */
int fb_spec_parse_process(const char *text, size_t length, struct fb_arena *arena, struct fb_process_spec *ret_process,
			  struct fb_error *err);
/* A resources object by itself, as `update --resources` takes it. */
int fb_spec_parse_resources(const char *text, size_t length, struct fb_arena *arena, struct fb_resources *ret_resources,
			    struct fb_error *err);
void fb_spec_free(struct fb_spec *spec);

#endif
