#include "sample.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define TEXT_MAX ((size_t)32 << 10) /* lines of a few hundred disks or interfaces */
#define NS_PER_S UINT64_C(1000000000)
#define DEPTH_MAX 8

enum { CPU = 1, MEMORY = 2, BLOCK = 4, PIDS = 8 }; /* what a group counts */

struct sampler {
	struct fb_sample *sample;
	unsigned counted;
	char text[TEXT_MAX];
};

/* The file's text, or NULL. */
static char *read_at(struct sampler *sampler, int directory, const char *name)
{
	fb_auto_close int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, sampler->text, TEXT_MAX - 1);

	if (n < 0)
		return NULL;
	sampler->text[n] = '\0';
	return sampler->text;
}

static uint64_t number_of(const char *text)
{
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static bool read_number(struct sampler *sampler, int directory, const char *name, uint64_t *ret_number)
{
	const char *text = read_at(sampler, directory, name);

	if (text)
		*ret_number = number_of(text);
	return text != NULL;
}

/* The number after a word at the beginning of a line; 0 without one. */
static uint64_t find(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, length) == 0)
			return strtoull(line + length + strspn(line + length, " \t"), NULL, 10);
	return 0;
}

/* The sum of the numbers after a word, wherever it is. */
static uint64_t sum(const char *text, const char *key)
{
	uint64_t all = 0;

	for (const char *at = strstr(text, key); at; at = strstr(at + 1, key))
		all += strtoull(at + strlen(key), NULL, 10);
	return all;
}

/* --- groups --- */

static void read_v1(struct sampler *sampler, int group)
{
	struct fb_sample *sample = sampler->sample;
	const char *text;

	if (read_number(sampler, group, "cpuacct.usage", &sample->cpu))
		sampler->counted |= CPU;
	if (read_number(sampler, group, "memory.usage_in_bytes", &sample->memory)) {
		sampler->counted |= MEMORY;
		read_number(sampler, group, "memory.limit_in_bytes", &sample->limit);
		if ((text = read_at(sampler, group, "memory.stat")))
			sample->inactive = find(text, "total_inactive_file ");
	}
	if ((text = read_at(sampler, group, "blkio.throttle.io_service_bytes_recursive"))) {
		sampler->counted |= BLOCK;
		sample->block_read = sum(text, " Read ");
		sample->block_written = sum(text, " Write ");
	}
	if (read_number(sampler, group, "pids.current", &sample->pids))
		sampler->counted |= PIDS;
}

static void read_v2(struct sampler *sampler, int group)
{
	struct fb_sample *sample = sampler->sample;
	const char *text;

	if ((text = read_at(sampler, group, "cpu.stat"))) {
		sampler->counted |= CPU;
		sample->cpu = find(text, "usage_usec ") * 1000;
	}
	if (read_number(sampler, group, "memory.current", &sample->memory)) {
		sampler->counted |= MEMORY;
		read_number(sampler, group, "memory.max", &sample->limit);
		if ((text = read_at(sampler, group, "memory.stat")))
			sample->inactive = find(text, "inactive_file ");
	}
	if ((text = read_at(sampler, group, "io.stat"))) {
		sampler->counted |= BLOCK;
		sample->block_read = sum(text, " rbytes=");
		sample->block_written = sum(text, " wbytes=");
	}
	if (read_number(sampler, group, "pids.current", &sample->pids))
		sampler->counted |= PIDS;
}

/* --- processes --- */

/* After the command's name, which may hold anything: field 3 is the state. 14 to 17: own time in both modes, and that of dead children. */
static void add_cpu(struct sampler *sampler, int process)
{
	const char *text = read_at(sampler, process, "stat"), *at = text ? strrchr(text, ')') : NULL;
	unsigned long long own[2] = {0}, children[2] = {0};

	if (at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &own[0], &own[1],
			 &children[0], &children[1]) == 4)
		sampler->sample->cpu += (own[0] + own[1] + children[0] + children[1]) *
					(NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void add_process(struct sampler *sampler, int pid)
{
	char path[32];
	fb_auto_close int process = -1;
	const char *text;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	if (!(sampler->counted & PIDS))
		sampler->sample->pids++;
	if (!(sampler->counted & CPU))
		add_cpu(sampler, process);
	if (!(sampler->counted & MEMORY) && (text = read_at(sampler, process, "smaps_rollup")))
		sampler->sample->memory += find(text, "Pss:") * 1024;
	if (!(sampler->counted & BLOCK) && (text = read_at(sampler, process, "io"))) {
		sampler->sample->block_read += find(text, "read_bytes:");
		sampler->sample->block_written += find(text, "write_bytes:");
	}
}

static void add_processes(struct sampler *sampler, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	fb_auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	fb_auto_free char *list = NULL;
	struct dirent *item;
	char *text, *end;

	if (!dir)
		return;
	text = read_at(sampler, fd, "cgroup.procs");
	list = text ? strdup(text) : NULL;
	for (const char *at = list; at && *at; at = end + (*end == '\n')) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		if (pid > 0) /* 0: of another pid namespace */
			add_process(sampler, (int)pid);
	}
	while (depth < DEPTH_MAX && (item = readdir(dir)))
		if (item->d_type == DT_DIR && item->d_name[0] != '.')
			add_processes(sampler, fd, item->d_name, depth + 1);
}

/* --- network --- */

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes ..." */
static void read_network(struct sampler *sampler, pid_t pid)
{
	char path[48], *text, *save = NULL;

	snprintf(path, sizeof(path), "/proc/%d/net/dev", pid);
	text = read_at(sampler, AT_FDCWD, path);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		const char *colon = strchr(line, ':'), *name = line + strspn(line, " ");
		uint64_t received, sent;

		if (!colon || strncmp(name, "lo:", 3) == 0)
			continue;
		if (sscanf(colon + 1, " %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &received, &sent) == 2) {
			sampler->sample->received += received;
			sampler->sample->sent += sent;
		}
	}
}

void fb_sample_take(const char *const *directories, size_t count, bool v2, pid_t pid, struct fb_sample *ret_sample)
{
	struct fb_sample sample = {.limit = UINT64_MAX};
	struct sampler sampler = {.sample = &sample};
	const char *whole = NULL;

	for (size_t i = 0; i < count; i++) {
		fb_auto_close int group = open(directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (group < 0)
			continue;
		/* On v1 the groups of execs are below the one of pids, and all of them in each of the others. */
		if (!whole || strstr(whole, "/pids/"))
			whole = directories[i];
		if (v2)
			read_v2(&sampler, group);
		else
			read_v1(&sampler, group);
	}
	if (whole && sampler.counted != (CPU | MEMORY | BLOCK | PIDS))
		add_processes(&sampler, AT_FDCWD, whole, 0);
	if (pid > 0)
		read_network(&sampler, pid);
	*ret_sample = sample;
}
