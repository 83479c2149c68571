/* Two steps of a start by themselves, each by libfastbox's own function and by the bare system
 * calls: the overlay mounted and taken away, the control groups made and removed.
 *
 *   library overlay|overlay-floor|groups|groups-floor BUNDLE
 *
 * BUNDLE is one that fastbox made: its layers, its device rule and its limits are what both sides
 * use; upper, work and the mount point are below its directory, in a mount namespace of this
 * process. It reads "N T" lines from stdin and prints N lines of microseconds and "done WALL".
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "child.h"
#include "plan.h"
#include "spec.h"
#include "tar_extract.h"

static struct fb_spec spec;

static void die(const char *what)
{
	fprintf(stderr, "library: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int result, const struct fb_error *err)
{
	if (result >= 0)
		return;
	fprintf(stderr, "library: %s: %s %s: %s (%s)\n", fb_stage_name(err->stage), err->call,
		err->path, strerror(err->code), err->detail);
	exit(1);
}

/* ---- the overlay ---- */

static struct fb_op *find_overlay(struct fb_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->ops[i].type == FB_OP_ROOT_OVERLAY)
			return &plan->ops[i];
	fprintf(stderr, "library: the bundle has no overlay\n");
	exit(1);
}

static void by_plan(const char *target)
{
	static struct fb_child_result result;
	static struct fb_plan plan;
	static struct fb_op op;
	struct fb_child child = {
	    .plan = &plan, .result = &result, .socket = -1, .start = -1, .root = -1};
	struct fb_launch_request request = {
	    .spec = &spec, .stdio = {-1, -1, -1}, .target_pidfd = -1};

	if (!plan.count) {
		check(fb_plan_build(&request, &plan, &result.error), &result.error);
		op = *find_overlay(&plan);
	}
	op.path = target;
	check(fb_op_root_overlay(&child, &op), &result.error);
	close(child.root);
}

static void by_mount(const char *target)
{
	const struct fb_engine_spec *engine = &spec.engine;
	char data[4096];
	int length = snprintf(data, sizeof(data), "lowerdir=");

	for (size_t i = 0; i < engine->lower.count; i++)
		length += snprintf(data + length, sizeof(data) - (size_t)length, "%s%s",
				   i ? ":" : "", engine->lower.items[i]);
	snprintf(data + length, sizeof(data) - (size_t)length,
		 ",upperdir=%s,workdir=%s,redirect_dir=nofollow,metacopy=off,index=off%s",
		 engine->upper, engine->work, engine->overlay_volatile ? ",volatile" : "");
	if (mount("overlay", target, "overlay", 0, data))
		die("mount");
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
}

/* An upper that was mounted volatile is refused the second time, so each round has its own. */
static uint64_t overlay_once(void (*mount_it)(const char *target))
{
	const char *upper = spec.engine.upper, *work = spec.engine.work;
	struct fb_error err;
	char target[4096];
	uint64_t begin;

	snprintf(target, sizeof(target), "%s-root", upper);
	make_directory(upper);
	make_directory(work);
	make_directory(target);
	begin = fb_now();
	mount_it(target);
	if (umount2(target, MNT_DETACH))
		die("umount");
	begin = fb_now() - begin;
	check(fb_remove_tree(AT_FDCWD, upper, &err), &err);
	check(fb_remove_tree(AT_FDCWD, work, &err), &err);
	return begin;
}

static uint64_t overlay(void)
{
	return overlay_once(by_plan);
}

static uint64_t overlay_floor(void)
{
	return overlay_once(by_mount);
}

/* ---- the groups ---- */

static uint64_t groups(void)
{
	const char *names[FB_CGROUP_MAX];
	struct fb_cgroup group;
	struct fb_error err;
	uint64_t begin = fb_now();

	check(fb_cgroup_create(spec.cgroups_path, &spec.resources, 0, &group, &err), &err);
	for (int i = 0; i < group.path_count; i++)
		names[i] = group.paths[i];
	fb_cgroup_close(&group);
	check(fb_cgroup_remove(names, group.path_count, &err), &err);
	return fb_now() - begin;
}

static void put(const char *directory, const char *file, const char *text)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* A number, or "*" for any. */
static const char *device_number(int64_t number, char text[24])
{
	snprintf(text, 24, "%lld", (long long)number);
	return number < 0 ? "*" : text;
}

static void put_rules(const char *directory)
{
	char text[64], major[24], minor[24];

	for (size_t i = 0; i < spec.resources.device_count; i++) {
		const struct fb_device_rule *rule = &spec.resources.devices[i];

		snprintf(text, sizeof(text), "%c %s:%s %s%s%s", rule->type,
			 device_number(rule->major, major), device_number(rule->minor, minor),
			 rule->access & FB_ACCESS_READ ? "r" : "",
			 rule->access & FB_ACCESS_WRITE ? "w" : "",
			 rule->access & FB_ACCESS_MKNOD ? "m" : "");
		put(directory, rule->allow ? "devices.allow" : "devices.deny",
		    rule->type == 'a' ? "a" : text);
	}
}

static void make_group(const char *directory)
{
	char parent[4096];

	snprintf(parent, sizeof(parent), "%s", directory);
	*strrchr(parent, '/') = '\0';
	mkdir(parent, 0755);
	if (mkdir(directory, 0755))
		die(directory);
}

/* v1 and hybrid only: on v2 the rule is an eBPF program, and the floor of a start has its cost. */
static uint64_t groups_floor(void)
{
	char devices[4096], pids[4096], limit[32];
	uint64_t begin;

	if (fb_cgroup_detect() == FB_CGROUP_V2) {
		fprintf(stderr, "library: no floor of the groups on pure v2\n");
		exit(1);
	}
	snprintf(devices, sizeof(devices), "/sys/fs/cgroup/devices%s", spec.cgroups_path);
	snprintf(pids, sizeof(pids), "/sys/fs/cgroup/pids%s", spec.cgroups_path);
	snprintf(limit, sizeof(limit), "%lld", (long long)spec.resources.pids);
	begin = fb_now();
	make_group(devices);
	put_rules(devices);
	make_group(pids);
	put(pids, "pids.max", limit);
	if (rmdir(devices) || rmdir(pids))
		die("rmdir");
	return fb_now() - begin;
}

/* ---- */

static void serve(uint64_t (*once)(void))
{
	unsigned count, threads;
	char line[64];

	printf("total\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t wall = fb_now();

		if (sscanf(line, "%u %u", &count, &threads) != 2 || threads != 1)
			exit(2);
		for (unsigned i = 0; i < count; i++)
			printf("%.1f\n", (double)once() / 1e3);
		printf("done %.1f\n", (double)(fb_now() - wall) / 1e3);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t (*once)(void);
	} modes[] = {{"overlay", overlay},
		     {"overlay-floor", overlay_floor},
		     {"groups", groups},
		     {"groups-floor", groups_floor}};
	struct fb_error err;

	if (argc != 3)
		exit(2);
	check(fb_spec_load(argv[2], &spec, &err), &err);
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("a mount namespace");
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(modes[i].name, argv[1])) {
			serve(modes[i].once);
			return 0;
		}
	return 2;
}
