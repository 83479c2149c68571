/* What a group has used: the content of runc's `events --stats`, from v1's files and v2's. */
#ifndef FB_CGROUP_STATS_H
#define FB_CGROUP_STATS_H

#include "arena.h"
#include "cgroup.h"

struct fb_stat_numbers {
	uint64_t *items;
	size_t count;
};

struct fb_stat_named { /* one line of memory.stat */
	const char *name;
	uint64_t value;
};

struct fb_stat_memory { /* bytes; limit UINT64_MAX: none (v2) */
	uint64_t usage, max, limit, failcnt;
};

struct fb_stat_device { /* one of a block device's counters */
	uint64_t major, minor, value;
	const char *op; /* "Read", "Write" ...; "" when the file has none */
};

struct fb_stat_devices {
	struct fb_stat_device *items;
	size_t count;
};

enum fb_stat_blkio {
	FB_STAT_SERVICE_BYTES,
	FB_STAT_SERVICED,
	FB_STAT_QUEUED,
	FB_STAT_SERVICE_TIME,
	FB_STAT_WAIT_TIME,
	FB_STAT_MERGED,
	FB_STAT_TIME,
	FB_STAT_SECTORS,
	FB_STAT_BLKIO_COUNT
};

struct fb_stat_hugepages {
	const char *size; /* "2MB" */
	uint64_t usage, max, failcnt;
};

struct fb_stat_pressure {
	bool present;
	struct fb_stat_stall {
		double avg10, avg60, avg300; /* per cent */
		uint64_t total;		     /* us */
	} some, full;
};

struct fb_stat_cpuset { /* v1 only: 0 and empty lists on v2, as with runc */
	struct fb_stat_numbers cpus, mems;
	uint64_t cpu_exclusive, mem_hardwall, mem_exclusive, memory_migrate, memory_spread_page, memory_spread_slab;
	uint64_t memory_pressure, sched_load_balance;
	int64_t sched_relax_domain_level;
};

struct fb_cgroup_stats { /* what there is no file for is 0 */
	struct fb_arena arena;
	uint64_t cpu_total, cpu_kernel, cpu_user;	 /* ns */
	struct fb_stat_numbers percpu, percpu_kernel, percpu_user; /* ns; v1 only */
	uint64_t periods, throttled_periods, throttled_time; /* the last in ns */
	struct fb_stat_cpuset cpuset;
	uint64_t memory_cache;
	struct fb_stat_memory memory, swap, kernel, kernel_tcp; /* swap: memory plus swap, on v2 too */
	struct fb_stat_named *memory_raw;
	size_t memory_raw_count;
	uint64_t pids_current, pids_limit; /* limit 0: none */
	struct fb_stat_devices blkio[FB_STAT_BLKIO_COUNT];
	struct fb_stat_hugepages *hugepages;
	size_t hugepage_count;
	struct fb_stat_pressure cpu_pressure, memory_pressure, io_pressure; /* v2 only */
};

/* Read them all; a hierarchy in which the container has no group counts nothing. Of `group` only mode, paths and controllers are used. */
int fb_cgroup_stats(const struct fb_cgroup *group, struct fb_cgroup_stats *ret_stats, struct fb_error *err);
void fb_cgroup_stats_free(struct fb_cgroup_stats *stats);

#endif
