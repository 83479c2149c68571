/* Statistics of block devices, and how long processes have waited (v2's pressure files). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_internal.h"
#include "cgroup_stats.h"

static struct fb_stat_device *add(struct fb_cgroup_stats *stats, enum fb_stat_blkio kind, size_t room)
{
	struct fb_stat_devices *list = &stats->blkio[kind];

	if (!list->items)
		list->items = fb_arena_alloc(&stats->arena, room * sizeof(*list->items));
	return list->items && list->count < room ? &list->items[list->count++] : NULL;
}

static size_t count_words(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == '\n' || *text == ' ';
	return count;
}

/* --- v1 --- */

/* "8:0 Read 4096" or "8:0 4096"; the last line is a total without device. */
static int parse_v1(char *text, enum fb_stat_blkio kind, struct fb_cgroup_stats *stats)
{
	size_t room = count_words(text);
	char *save = NULL, op[16];

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct fb_stat_device entry = {.op = ""}, *item;

		if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %15[A-Za-z] %" SCNu64, &entry.major, &entry.minor, op, &entry.value) == 4)
			entry.op = fb_arena_strdup(&stats->arena, op);
		else if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %" SCNu64, &entry.major, &entry.minor, &entry.value) != 3)
			continue;
		item = entry.op ? add(stats, kind, room) : NULL;
		if (!item)
			return -ENOMEM;
		*item = entry;
	}
	return 0;
}

/* BFQ's own, with a kernel made for debugging also more; CFQ's; those of every disk: the first that the kernel has. */
static const char *const prefixes[] = {"blkio.bfq.", "blkio.", "blkio.throttle."};
static const char *const names[FB_STAT_BLKIO_COUNT] = {
	[FB_STAT_SERVICE_BYTES] = "io_service_bytes_recursive", [FB_STAT_SERVICED] = "io_serviced_recursive",
	[FB_STAT_QUEUED] = "io_queued_recursive",		[FB_STAT_SERVICE_TIME] = "io_service_time_recursive",
	[FB_STAT_WAIT_TIME] = "io_wait_time_recursive",		[FB_STAT_MERGED] = "io_merged_recursive",
	[FB_STAT_TIME] = "time_recursive",			[FB_STAT_SECTORS] = "sectors_recursive",
};

static int read_v1(const struct fb_cgroup *group, char *text, size_t size, struct fb_cgroup_stats *stats)
{
	const char *directory = fb_cgroup_directory(group, "blkio.reset_stats");
	char file[96];

	for (int kind = 0; directory && kind < FB_STAT_BLKIO_COUNT; kind++)
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes) && !stats->blkio[kind].count; i++) {
			snprintf(file, sizeof(file), "%s%s", prefixes[i], names[kind]);
			if (fb_cgroup_read(directory, file, text, size) > 0 &&
			    parse_v1(text, (enum fb_stat_blkio)kind, stats) < 0)
				return -ENOMEM;
		}
	return 0;
}

/* --- v2 --- */

static const struct {
	const char *key, *op;
	enum fb_stat_blkio kind;
} words[] = {
	{"rbytes=", "Read", FB_STAT_SERVICE_BYTES},
	{"wbytes=", "Write", FB_STAT_SERVICE_BYTES},
	{"rios=", "Read", FB_STAT_SERVICED},
	{"wios=", "Write", FB_STAT_SERVICED},
};

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" */
static int parse_v2(char *text, struct fb_cgroup_stats *stats)
{
	size_t room = count_words(text);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct fb_stat_device entry = {0}, *item;

		if (sscanf(line, "%" SCNu64 ":%" SCNu64, &entry.major, &entry.minor) != 2)
			continue;
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
			const char *at = strstr(line, words[i].key);

			if (!at)
				continue;
			entry.op = words[i].op;
			entry.value = strtoull(at + strlen(words[i].key), NULL, 10);
			if (!(item = add(stats, words[i].kind, room)))
				return -ENOMEM;
			*item = entry;
		}
	}
	return 0;
}

static void parse_stall(const char *text, const char *word, struct fb_stat_stall *stall)
{
	const char *line = strstr(text, word);

	if (line)
		sscanf(line + strlen(word), " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &stall->avg10, &stall->avg60,
		       &stall->avg300, &stall->total);
}

/* EOPNOTSUPP where pressure is not counted. */
static void read_pressure(const char *directory, const char *file, struct fb_stat_pressure *pressure)
{
	char text[256];

	if (fb_cgroup_read(directory, file, text, sizeof(text)) <= 0)
		return;
	pressure->present = true;
	parse_stall(text, "some", &pressure->some);
	parse_stall(text, "full", &pressure->full);
}

int fb_cgroup_stats_io(const struct fb_cgroup *group, char *text, size_t size, struct fb_cgroup_stats *stats)
{
	if (group->mode != FB_CGROUP_V2)
		return read_v1(group, text, size, stats);
	read_pressure(group->paths[0], "cpu.pressure", &stats->cpu_pressure);
	read_pressure(group->paths[0], "memory.pressure", &stats->memory_pressure);
	read_pressure(group->paths[0], "io.pressure", &stats->io_pressure);
	return fb_cgroup_read(group->paths[0], "io.stat", text, size) > 0 ? parse_v2(text, stats) : 0;
}
