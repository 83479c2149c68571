/* The statistics of a container as the JSON that runc's callers parse: what is 0 is left out where runc leaves it out. */
#include "cgroup_stats.h"
#include "oci_internal.h"

static void put(struct fb_json_out *json, const char *key, uint64_t value)
{
	if (value)
		fb_out_uint(json, key, value);
}

static void put_numbers(struct fb_json_out *json, const char *key, const struct fb_stat_numbers *numbers)
{
	if (!numbers->count)
		return;
	fb_out_open(json, key, '[');
	for (size_t i = 0; i < numbers->count; i++)
		fb_out_uint(json, NULL, numbers->items[i]);
	fb_out_close(json, ']');
}

static void put_stall(struct fb_json_out *json, const char *key, const struct fb_stat_stall *stall)
{
	fb_out_open(json, key, '{');
	fb_out_double(json, "avg10", stall->avg10);
	fb_out_double(json, "avg60", stall->avg60);
	fb_out_double(json, "avg300", stall->avg300);
	fb_out_uint(json, "total", stall->total);
	fb_out_close(json, '}');
}

static void put_pressure(struct fb_json_out *json, const struct fb_stat_pressure *pressure)
{
	if (!pressure->present)
		return;
	fb_out_open(json, "psi", '{');
	put_stall(json, "some", &pressure->some);
	put_stall(json, "full", &pressure->full);
	fb_out_close(json, '}');
}

static void put_cpu(struct fb_json_out *json, const struct fb_cgroup_stats *stats)
{
	fb_out_open(json, "cpu", '{');
	fb_out_open(json, "usage", '{');
	put(json, "total", stats->cpu_total);
	put_numbers(json, "percpu", &stats->percpu);
	put_numbers(json, "percpu_kernel", &stats->percpu_kernel);
	put_numbers(json, "percpu_user", &stats->percpu_user);
	fb_out_uint(json, "kernel", stats->cpu_kernel);
	fb_out_uint(json, "user", stats->cpu_user);
	fb_out_close(json, '}');
	fb_out_open(json, "throttling", '{');
	put(json, "periods", stats->periods);
	put(json, "throttledPeriods", stats->throttled_periods);
	put(json, "throttledTime", stats->throttled_time);
	fb_out_close(json, '}');
	put_pressure(json, &stats->cpu_pressure);
	fb_out_close(json, '}');
}

static void put_cpuset(struct fb_json_out *json, const struct fb_stat_cpuset *set)
{
	fb_out_open(json, "cpuset", '{');
	put_numbers(json, "cpus", &set->cpus);
	fb_out_uint(json, "cpu_exclusive", set->cpu_exclusive);
	put_numbers(json, "mems", &set->mems);
	fb_out_uint(json, "mem_hardwall", set->mem_hardwall);
	fb_out_uint(json, "mem_exclusive", set->mem_exclusive);
	fb_out_uint(json, "memory_migrate", set->memory_migrate);
	fb_out_uint(json, "memory_spread_page", set->memory_spread_page);
	fb_out_uint(json, "memory_spread_slab", set->memory_spread_slab);
	fb_out_uint(json, "memory_pressure", set->memory_pressure);
	fb_out_uint(json, "sched_load_balance", set->sched_load_balance);
	fb_out_int(json, "sched_relax_domain_level", set->sched_relax_domain_level);
	fb_out_close(json, '}');
}

static void put_bytes(struct fb_json_out *json, const char *key, const struct fb_stat_memory *memory)
{
	fb_out_open(json, key, '{');
	fb_out_uint(json, "limit", memory->limit);
	put(json, "usage", memory->usage);
	put(json, "max", memory->max);
	fb_out_uint(json, "failcnt", memory->failcnt);
	fb_out_close(json, '}');
}

static void put_memory(struct fb_json_out *json, const struct fb_cgroup_stats *stats)
{
	fb_out_open(json, "memory", '{');
	put(json, "cache", stats->memory_cache);
	put_bytes(json, "usage", &stats->memory);
	put_bytes(json, "swap", &stats->swap);
	put_bytes(json, "kernel", &stats->kernel);
	put_bytes(json, "kernelTCP", &stats->kernel_tcp);
	if (stats->memory_raw_count)
		fb_out_open(json, "raw", '{');
	for (size_t i = 0; i < stats->memory_raw_count; i++)
		fb_out_uint(json, stats->memory_raw[i].name, stats->memory_raw[i].value);
	if (stats->memory_raw_count)
		fb_out_close(json, '}');
	put_pressure(json, &stats->memory_pressure);
	fb_out_close(json, '}');
}

static void put_devices(struct fb_json_out *json, const char *key, const struct fb_stat_devices *devices)
{
	if (!devices->count)
		return;
	fb_out_open(json, key, '[');
	for (size_t i = 0; i < devices->count; i++) {
		const struct fb_stat_device *device = &devices->items[i];

		fb_out_open(json, NULL, '{');
		put(json, "major", device->major);
		put(json, "minor", device->minor);
		if (*device->op)
			fb_out_text(json, "op", device->op);
		put(json, "value", device->value);
		fb_out_close(json, '}');
	}
	fb_out_close(json, ']');
}

static void put_blkio(struct fb_json_out *json, const struct fb_cgroup_stats *stats)
{
	static const char *const names[FB_STAT_BLKIO_COUNT] = {
		[FB_STAT_SERVICE_BYTES] = "ioServiceBytesRecursive", [FB_STAT_SERVICED] = "ioServicedRecursive",
		[FB_STAT_QUEUED] = "ioQueueRecursive",		     [FB_STAT_SERVICE_TIME] = "ioServiceTimeRecursive",
		[FB_STAT_WAIT_TIME] = "ioWaitTimeRecursive",	     [FB_STAT_MERGED] = "ioMergedRecursive",
		[FB_STAT_TIME] = "ioTimeRecursive",		     [FB_STAT_SECTORS] = "sectorsRecursive",
	};

	fb_out_open(json, "blkio", '{');
	for (size_t i = 0; i < FB_STAT_BLKIO_COUNT; i++)
		put_devices(json, names[i], &stats->blkio[i]);
	put_pressure(json, &stats->io_pressure);
	fb_out_close(json, '}');
}

static void put_hugepages(struct fb_json_out *json, const struct fb_cgroup_stats *stats)
{
	fb_out_open(json, "hugetlb", '{');
	for (size_t i = 0; i < stats->hugepage_count; i++) {
		fb_out_open(json, stats->hugepages[i].size, '{');
		put(json, "usage", stats->hugepages[i].usage);
		put(json, "max", stats->hugepages[i].max);
		fb_out_uint(json, "failcnt", stats->hugepages[i].failcnt);
		fb_out_close(json, '}');
	}
	fb_out_close(json, '}');
}

void fb_oci_put_stats(struct fb_json_out *json, const struct fb_cgroup_stats *stats)
{
	fb_out_open(json, "data", '{');
	put_cpu(json, stats);
	put_cpuset(json, &stats->cpuset);
	put_memory(json, stats);
	fb_out_open(json, "pids", '{');
	put(json, "current", stats->pids_current);
	put(json, "limit", stats->pids_limit);
	fb_out_close(json, '}');
	put_blkio(json, stats);
	put_hugepages(json, stats);
	fb_out_open(json, "intel_rdt", '{');
	fb_out_close(json, '}');
	fb_out_null(json, "network_interfaces");
	fb_out_close(json, '}');
}
