/* The device rules of cgroup v1: a mode, which is to allow or to deny what is not named, and the kernel's list of exceptions from it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define ALL (FB_ACCESS_READ | FB_ACCESS_WRITE | FB_ACCESS_MKNOD)
#define LIST_MAX 65536 /* bytes of devices.list */

static int fail(struct fb_error *err, int code, const char *call, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, call, path, detail);
}

static bool overlap(int64_t a, int64_t b)
{
	return a < 0 || b < 0 || a == b;
}

static bool is_everything(const struct fb_device_rule *rule)
{
	return rule->type == 'a' && rule->major < 0 && rule->minor < 0 && rule->access == ALL;
}

static bool same_devices(const struct fb_device_rule *a, const struct fb_device_rule *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static bool covers(const struct fb_device_rule *a, const struct fb_device_rule *b)
{
	return (a->major < 0 || a->major == b->major) && (a->minor < 0 || a->minor == b->minor);
}

/* --- what a list of rules comes to --- */

struct devices {
	bool allow; /* what is no exception */
	struct fb_device_rule *exceptions;
	size_t count;
};

static void except(struct devices *devices, const struct fb_device_rule *wanted)
{
	struct fb_device_rule *at = devices->exceptions;

	while (at < devices->exceptions + devices->count && !same_devices(at, wanted))
		at++;
	if (at < devices->exceptions + devices->count) {
		at->access |= wanted->access;
		return;
	}
	*at = *wanted;
	devices->count++;
}

/* The kernel only removes an *equal* exception: a hole in an excepted range would be accepted and have no effect. So it is refused. */
static bool remove_exceptions(struct devices *devices, const struct fb_device_rule *wanted)
{
	for (struct fb_device_rule *at = devices->exceptions; at < devices->exceptions + devices->count; at++) {
		if (at->type != wanted->type || !(at->access & wanted->access) || !overlap(at->major, wanted->major) ||
		    !overlap(at->minor, wanted->minor))
			continue;
		if (!covers(wanted, at))
			return false;
		at->access &= ~wanted->access;
	}
	return true;
}

/* False: the rule would make a hole. */
static bool note(struct devices *devices, const struct fb_device_rule *rule, char type)
{
	struct fb_device_rule wanted = *rule;

	wanted.type = type;
	if (rule->allow == devices->allow)
		return remove_exceptions(devices, &wanted);
	except(devices, &wanted);
	return true;
}

/* A narrower rule for both types is two: the kernel takes "a" for everything and does not read on. */
static int compile(const struct fb_device_rule *rules, size_t count, const char *directory, struct devices *devices,
		   struct fb_error *err)
{
	devices->exceptions = calloc(2 * count + 1, sizeof(*devices->exceptions));
	if (!devices->exceptions)
		return FB_FAIL(err, FB_STAGE_CGROUP, "malloc", NULL);
	for (size_t i = 0; i < count; i++) {
		if (is_everything(&rules[i])) {
			devices->allow = rules[i].allow;
			devices->count = 0;
			continue;
		}
		if ((rules[i].type != 'c' && !note(devices, &rules[i], 'b')) ||
		    (rules[i].type != 'b' && !note(devices, &rules[i], 'c')))
			return fail(err, EINVAL, "devices", directory,
				    "cgroup v1 can't except a part of what an earlier device rule covers");
	}
	return 0;
}

/* --- the kernel's list --- */

/* A line is "c 1:3 rwm". */
static bool read_line(const char *line, struct fb_device_rule *rule)
{
	char type, major[16], minor[16], access[8];

	if (sscanf(line, "%c %15[0-9*]:%15[0-9*] %7[rwm]", &type, major, minor, access) != 4)
		return false;
	*rule = (struct fb_device_rule){.type = type};
	rule->major = major[0] == '*' ? -1 : strtoll(major, NULL, 10);
	rule->minor = minor[0] == '*' ? -1 : strtoll(minor, NULL, 10);
	rule->access = (strchr(access, 'r') ? FB_ACCESS_READ : 0) | (strchr(access, 'w') ? FB_ACCESS_WRITE : 0) |
		       (strchr(access, 'm') ? FB_ACCESS_MKNOD : 0);
	return true;
}

/* What is excepted from allowing everything, it does not show. */
static bool read_exceptions(const char *directory, struct devices *devices)
{
	fb_auto_free char *text = malloc(LIST_MAX);
	size_t lines = 1;
	char *save = NULL;

	if (!text || fb_cgroup_read(directory, "devices.list", text, LIST_MAX) < 0)
		return false;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	devices->exceptions = calloc(lines, sizeof(*devices->exceptions));
	if (!devices->exceptions)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct fb_device_rule *rule = &devices->exceptions[devices->count++];

		if (!read_line(line, rule) || is_everything(rule))
			return false;
	}
	return true;
}

static int write_device(const char *directory, bool allow, const struct fb_device_rule *rule, unsigned access,
			struct fb_error *err)
{
	char text[64], major[24] = "*", minor[24] = "*";

	if (!access)
		return 0;
	if (rule->major >= 0)
		snprintf(major, sizeof(major), "%" PRId64, rule->major);
	if (rule->minor >= 0)
		snprintf(minor, sizeof(minor), "%" PRId64, rule->minor);
	snprintf(text, sizeof(text), "%c %s:%s %s%s%s", rule->type, major, minor, access & FB_ACCESS_READ ? "r" : "",
		 access & FB_ACCESS_WRITE ? "w" : "", access & FB_ACCESS_MKNOD ? "m" : "");
	return fb_cgroup_write(directory, allow ? "devices.allow" : "devices.deny", text, err);
}

/* The bits of `rule` that `others` do not have. */
static unsigned missing_in(const struct devices *others, const struct fb_device_rule *rule)
{
	for (size_t i = 0; i < others->count; i++)
		if (same_devices(&others->exceptions[i], rule))
			return rule->access & ~others->exceptions[i].access;
	return rule->access;
}

/* From one list of what is allowed to another: first what is new, then without what is gone. */
static int change(const char *directory, const struct devices *now, const struct devices *wanted, struct fb_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->count; i++)
		r = write_device(directory, true, &wanted->exceptions[i], missing_in(now, &wanted->exceptions[i]), err);
	for (size_t i = 0; r == 0 && i < now->count; i++)
		r = write_device(directory, false, &now->exceptions[i], missing_in(wanted, &now->exceptions[i]), err);
	return r;
}

static void free_devices(struct devices *devices)
{
	free(devices->exceptions);
}

int fb_cgroup_v1_devices(const char *directory, const struct fb_device_rule *rules, size_t count, bool live,
			 struct fb_error *err)
{
	__attribute__((cleanup(free_devices))) struct devices wanted = {0}, now = {0};
	int r = compile(rules, count, directory, &wanted, err);

	if (r < 0)
		return r;
	if (live && !wanted.allow && read_exceptions(directory, &now))
		return change(directory, &now, &wanted, err);
	/* A new group has its parent's list. Start from nothing, as the v2 program does, whatever that is. */
	r = fb_cgroup_write(directory, wanted.allow ? "devices.allow" : "devices.deny", "a", err);
	for (size_t i = 0; r == 0 && i < wanted.count; i++)
		r = write_device(directory, !wanted.allow, &wanted.exceptions[i], wanted.exceptions[i].access, err);
	return r;
}
