#include "cgroup_stats.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "spec_sched.h"

#define TEXT_MAX ((size_t)256 << 10) /* of one file: lines for every CPU or disk of a large machine */
#define NS_PER_US 1000u
#define NS_PER_S 1000000000u

struct reader {
	const struct fb_cgroup *group;
	struct fb_cgroup_stats *stats;
	char *text;
	bool failed; /* no memory */
};

static void *alloc(struct reader *reader, size_t count, size_t size)
{
	void *memory = fb_arena_alloc(&reader->stats->arena, (count + 1) * size);

	reader->failed |= !memory;
	return memory;
}

/* The text stays until the next file is read. */
static char *read_text(struct reader *reader, const char *directory, const char *file)
{
	return directory && fb_cgroup_read(directory, file, reader->text, TEXT_MAX) >= 0 ? reader->text : NULL;
}

static uint64_t number_of(const char *text)
{
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static uint64_t read_number(const char *directory, const char *file)
{
	char text[32];

	return directory && fb_cgroup_read(directory, file, text, sizeof(text)) > 0 ? number_of(text) : 0;
}

/* The number after a word at the beginning of a line. */
static uint64_t find(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return number_of(line + length + 1);
	return 0;
}

/* --- cpu --- */

static void read_list(struct reader *reader, const char *directory, const char *file, struct fb_stat_numbers *numbers)
{
	const char *text = read_text(reader, directory, file);
	size_t count = 0;

	if (!text || !(numbers->items = alloc(reader, strlen(text) / 2 + 1, sizeof(uint64_t))))
		return;
	while (*(text += strspn(text, " "))) {
		numbers->items[count++] = number_of(text);
		text += strcspn(text, " ");
	}
	numbers->count = count;
}

/* A line for each CPU: its number, user, system; the first has these words. */
static void read_modes(struct reader *reader, const char *directory)
{
	struct fb_cgroup_stats *stats = reader->stats;
	char *text = read_text(reader, directory, "cpuacct.usage_all"), *save = NULL;
	size_t count = 0, room = text ? strlen(text) / 4 + 1 : 0;

	if (!text || !(stats->percpu_user.items = alloc(reader, room, sizeof(uint64_t))) ||
	    !(stats->percpu_kernel.items = alloc(reader, room, sizeof(uint64_t))))
		return;
	strtok_r(text, "\n", &save);
	for (char *line = strtok_r(NULL, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%*u %" SCNu64 " %" SCNu64, &stats->percpu_user.items[count],
			   &stats->percpu_kernel.items[count]) == 2)
			count++;
	stats->percpu_user.count = stats->percpu_kernel.count = count;
}

static void read_cpu_v1(struct reader *reader)
{
	/* Beside the controller's own file, since the v2 hierarchy has a "cpu.stat" too. */
	const char *directory = fb_cgroup_directory(reader->group, "cpu.shares");
	const char *accounts = fb_cgroup_directory(reader->group, "cpuacct.usage");
	struct fb_cgroup_stats *stats = reader->stats;
	uint64_t tick = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	const char *text = read_text(reader, directory, "cpu.stat");

	if (text) {
		stats->periods = find(text, "nr_periods");
		stats->throttled_periods = find(text, "nr_throttled");
		stats->throttled_time = find(text, "throttled_time");
	}
	stats->cpu_total = read_number(accounts, "cpuacct.usage");
	text = read_text(reader, accounts, "cpuacct.stat");
	if (text) {
		stats->cpu_user = find(text, "user") * tick;
		stats->cpu_kernel = find(text, "system") * tick;
	}
	read_list(reader, accounts, "cpuacct.usage_percpu", &stats->percpu);
	read_modes(reader, accounts);
}

static void read_cpu_v2(struct reader *reader, const char *directory)
{
	struct fb_cgroup_stats *stats = reader->stats;
	const char *text = read_text(reader, directory, "cpu.stat");

	if (!text)
		return;
	stats->cpu_total = find(text, "usage_usec") * NS_PER_US;
	stats->cpu_user = find(text, "user_usec") * NS_PER_US;
	stats->cpu_kernel = find(text, "system_usec") * NS_PER_US;
	stats->periods = find(text, "nr_periods");
	stats->throttled_periods = find(text, "nr_throttled");
	stats->throttled_time = find(text, "throttled_usec") * NS_PER_US;
}

static void read_bits(struct reader *reader, const char *directory, const char *file, struct fb_stat_numbers *numbers)
{
	const char *text = read_text(reader, directory, file);
	unsigned long mask[FB_CPU_WORDS];
	const size_t bits = 8 * sizeof(*mask);

	if (!text || fb_cpu_list(text, mask, FB_CPU_WORDS) < 0 ||
	    !(numbers->items = alloc(reader, FB_CPUS_MAX, sizeof(uint64_t))))
		return;
	for (size_t i = 0; i < FB_CPUS_MAX; i++)
		if (mask[i / bits] & 1ul << i % bits)
			numbers->items[numbers->count++] = i;
}

static void read_cpuset(struct reader *reader)
{
	const char *directory = fb_cgroup_directory(reader->group, "cpuset.sched_load_balance");
	struct fb_stat_cpuset *set = &reader->stats->cpuset;
	char level[32];

	read_bits(reader, directory, "cpuset.cpus", &set->cpus);
	read_bits(reader, directory, "cpuset.mems", &set->mems);
	set->cpu_exclusive = read_number(directory, "cpuset.cpu_exclusive");
	set->mem_hardwall = read_number(directory, "cpuset.mem_hardwall");
	set->mem_exclusive = read_number(directory, "cpuset.mem_exclusive");
	set->memory_migrate = read_number(directory, "cpuset.memory_migrate");
	set->memory_spread_page = read_number(directory, "cpuset.memory_spread_page");
	set->memory_spread_slab = read_number(directory, "cpuset.memory_spread_slab");
	set->memory_pressure = read_number(directory, "cpuset.memory_pressure");
	set->sched_load_balance = read_number(directory, "cpuset.sched_load_balance");
	if (directory && fb_cgroup_read(directory, "cpuset.sched_relax_domain_level", level, sizeof(level)) > 0)
		set->sched_relax_domain_level = strtoll(level, NULL, 10);
}

/* --- memory --- */

static void read_memory_stat(struct reader *reader, const char *directory)
{
	struct fb_cgroup_stats *stats = reader->stats;
	char *text = read_text(reader, directory, "memory.stat"), *save = NULL;
	size_t lines = 1;

	for (const char *at = text; at && *at; at++)
		lines += *at == '\n';
	if (!text || !(stats->memory_raw = alloc(reader, lines, sizeof(*stats->memory_raw))))
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct fb_stat_named *item = &stats->memory_raw[stats->memory_raw_count];
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		item->name = fb_arena_strdup(&stats->arena, line);
		item->value = number_of(space + 1);
		reader->failed |= !item->name;
		stats->memory_raw_count++;
	}
}

static uint64_t raw(const struct fb_cgroup_stats *stats, const char *name)
{
	for (size_t i = 0; i < stats->memory_raw_count; i++)
		if (stats->memory_raw[i].name && strcmp(stats->memory_raw[i].name, name) == 0)
			return stats->memory_raw[i].value;
	return 0;
}

static uint64_t read_member(const char *directory, const char *prefix, const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "%s.%s", prefix, name);
	return read_number(directory, file);
}

static void read_counter_v1(const char *directory, const char *prefix, struct fb_stat_memory *memory)
{
	memory->usage = read_member(directory, prefix, "usage_in_bytes");
	memory->max = read_member(directory, prefix, "max_usage_in_bytes");
	memory->limit = read_member(directory, prefix, "limit_in_bytes");
	memory->failcnt = read_member(directory, prefix, "failcnt");
}

static void read_memory_v1(struct reader *reader)
{
	const char *directory = fb_cgroup_directory(reader->group, "memory.limit_in_bytes");
	struct fb_cgroup_stats *stats = reader->stats;

	if (!directory)
		return;
	read_memory_stat(reader, directory);
	stats->memory_cache = raw(stats, "cache");
	read_counter_v1(directory, "memory", &stats->memory);
	read_counter_v1(directory, "memory.memsw", &stats->swap);
	read_counter_v1(directory, "memory.kmem", &stats->kernel);
	read_counter_v1(directory, "memory.kmem.tcp", &stats->kernel_tcp);
}

static void read_memory_v2(struct reader *reader, const char *directory)
{
	struct fb_cgroup_stats *stats = reader->stats;
	uint64_t limit = read_number(directory, "memory.swap.max");

	read_memory_stat(reader, directory);
	if (!stats->memory_raw_count)
		return;
	stats->memory_cache = raw(stats, "file");
	stats->memory.usage = read_number(directory, "memory.current");
	stats->memory.limit = read_number(directory, "memory.max");
	stats->memory.max = read_number(directory, "memory.peak"); /* 5.19 */
	stats->swap.usage = stats->memory.usage + read_number(directory, "memory.swap.current");
	stats->swap.limit = limit > UINT64_MAX - stats->memory.limit ? UINT64_MAX : limit + stats->memory.limit;
}

/* --- pids, hugetlb --- */

static void read_pids(struct reader *reader)
{
	const char *directory = fb_cgroup_directory(reader->group, "pids.current");
	struct fb_cgroup_stats *stats = reader->stats;
	ssize_t count;

	if (directory) {
		stats->pids_current = read_number(directory, "pids.current");
		stats->pids_limit = read_number(directory, "pids.max");
		stats->pids_limit = stats->pids_limit == UINT64_MAX ? 0 : stats->pids_limit;
	} else if (reader->group->path_count) {
		count = fb_cgroup_list(reader->group->paths[0], NULL);
		stats->pids_current = count > 0 ? (uint64_t)count : 0;
	}
}

/* Reservations, where the kernel counts them apart. */
static void read_page_size(struct reader *reader, const char *size)
{
	static const struct {
		const char *probe, *usage, *max, *failures;
	} forms[] = {
		{"rsvd.limit_in_bytes", "rsvd.usage_in_bytes", "rsvd.max_usage_in_bytes", "rsvd.failcnt"},
		{"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"},
		{"rsvd.current", "rsvd.current", NULL, "events"},
		{"current", "current", NULL, "events"},
	};
	struct fb_cgroup_stats *stats = reader->stats;
	struct fb_stat_hugepages *pages = &stats->hugepages[stats->hugepage_count];
	char prefix[48], file[128], text[64];

	snprintf(prefix, sizeof(prefix), "hugetlb.%s", size);
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		const char *directory;

		snprintf(file, sizeof(file), "%s.%s", prefix, forms[i].probe);
		if (!(directory = fb_cgroup_directory(reader->group, file)))
			continue;
		pages->size = fb_arena_strdup(&stats->arena, size);
		reader->failed |= !pages->size;
		pages->usage = read_member(directory, prefix, forms[i].usage);
		pages->max = forms[i].max ? read_member(directory, prefix, forms[i].max) : 0;
		snprintf(file, sizeof(file), "%s.%s", prefix, forms[i].failures);
		if (fb_cgroup_read(directory, file, text, sizeof(text)) > 0)
			pages->failcnt = forms[i].max ? number_of(text) : find(text, "max");
		stats->hugepage_count++;
		return;
	}
}

#define HUGEPAGES_MAX 16

static void read_hugepages(struct reader *reader)
{
	fb_auto_dir DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *item;
	unsigned long kb;
	char size[32];

	if (!dir || !(reader->stats->hugepages = alloc(reader, HUGEPAGES_MAX, sizeof(struct fb_stat_hugepages))))
		return;
	while ((item = readdir(dir)) && reader->stats->hugepage_count < HUGEPAGES_MAX) {
		if (sscanf(item->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(size, sizeof(size), kb >= 1 << 20 ? "%luGB" : kb >= 1 << 10 ? "%luMB" : "%luKB",
			 kb >= 1 << 20 ? kb >> 20 : kb >= 1 << 10 ? kb >> 10 : kb);
		read_page_size(reader, size);
	}
}

int fb_cgroup_stats(const struct fb_cgroup *group, struct fb_cgroup_stats *ret_stats, struct fb_error *err)
{
	fb_auto_free char *text = malloc(TEXT_MAX);
	struct fb_cgroup_stats stats = {0};
	struct reader reader = {.group = group, .stats = &stats, .text = text, .failed = !text};

	if (group->path_count == 0)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOENT, "cgroup", NULL, "the container has no group of its own");
	if (text && group->mode == FB_CGROUP_V2) {
		read_cpu_v2(&reader, group->paths[0]);
		read_memory_v2(&reader, group->paths[0]);
	} else if (text) {
		read_cpu_v1(&reader);
		read_cpuset(&reader);
		read_memory_v1(&reader);
	}
	if (text) {
		read_pids(&reader);
		read_hugepages(&reader);
	}
	if (reader.failed || fb_cgroup_stats_io(group, text, TEXT_MAX, &stats) < 0) {
		fb_cgroup_stats_free(&stats);
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, ENOMEM, "malloc", NULL, NULL);
	}
	*ret_stats = stats;
	return 0;
}

void fb_cgroup_stats_free(struct fb_cgroup_stats *stats)
{
	fb_arena_free(&stats->arena);
	memset(stats, 0, sizeof(*stats));
}
