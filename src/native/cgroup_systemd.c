#include "cgroup_systemd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define OWNER "fastbox container "
#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"

void fb_systemd_property(struct fb_dbus_body *body, const char *name, const char *type)
{
	fb_dbus_align(body, 8);
	fb_dbus_text(body, name);
	fb_dbus_signature(body, type);
}

static void put_bool(struct fb_dbus_body *body, const char *name, bool value)
{
	fb_systemd_property(body, name, "b");
	fb_dbus_u32(body, value);
}

static void put_text(struct fb_dbus_body *body, const char *name, const char *value)
{
	fb_systemd_property(body, name, "s");
	fb_dbus_text(body, value);
}

static void put_processes(struct fb_dbus_body *body, pid_t pid)
{
	size_t array;

	fb_systemd_property(body, "PIDs", "au");
	array = fb_dbus_open(body, 4);
	fb_dbus_u32(body, (uint32_t)pid);
	fb_dbus_close(body, array, 4);
}

/* Without its default dependencies a scope ends at shutdown when who runs the container says so, not together with all others. */
static int describe(const struct fb_systemd_scope *scope, struct fb_dbus_body *body, struct fb_error *err)
{
	static const char *const accounts[] = {"MemoryAccounting", "CPUAccounting", "TasksAccounting"};
	char description[PATH_MAX + sizeof(OWNER)];
	size_t array;
	int r;

	fb_dbus_text(body, scope->unit);
	fb_dbus_text(body, "replace");
	array = fb_dbus_open(body, 8);
	snprintf(description, sizeof(description), OWNER "%s", scope->owner);
	put_text(body, "Description", description);
	put_text(body, "Slice", scope->slice);
	put_bool(body, "Delegate", true);
	put_bool(body, "DefaultDependencies", false);
	/* One whose process is gone before it began, or killed for memory, is not kept for anybody to look at. */
	put_text(body, "CollectMode", "inactive-or-failed");
	for (size_t i = 0; i < sizeof(accounts) / sizeof(*accounts); i++)
		put_bool(body, accounts[i], true);
	put_bool(body, scope->mode == FB_CGROUP_V2 ? "IOAccounting" : "BlockIOAccounting", true);
	put_processes(body, scope->pid);
	fb_systemd_limits(body, scope->mode, scope->resources, NULL);
	r = fb_systemd_annotations(body, scope->annotations, err);
	fb_dbus_close(body, array, 8);
	fb_dbus_close(body, fb_dbus_open(body, 8), 8); /* no other units */
	return r;
}

static void forget(struct fb_dbus *bus, const char *unit)
{
	struct fb_dbus_body body = {0};
	struct fb_error none = {0};

	fb_dbus_text(&body, unit);
	fb_dbus_call(bus, "ResetFailedUnit", "s", &body, NULL, unit, NULL, &none);
	fb_dbus_body_free(&body);
}

static int start(struct fb_dbus *bus, const char *unit, const struct fb_dbus_body *body, struct fb_error *err)
{
	struct fb_error ours = {0};
	const char *job = NULL;
	int r = fb_dbus_call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, UNIT_EXISTS, unit, &job, &ours);

	if (r == -EEXIST) {
		forget(bus, unit);
		r = fb_dbus_call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, UNIT_EXISTS, unit, &job, err);
	} else if (r < 0 && err) {
		*err = ours;
	}
	if (r < 0)
		return r;
	r = fb_dbus_await_job(bus, job, unit, err);
	if (r < 0)
		forget(bus, unit);
	return r;
}

int fb_systemd_start(const struct fb_systemd_scope *scope, struct fb_error *err)
{
	struct fb_dbus_body body = {0};
	struct fb_dbus bus;
	int r = describe(scope, &body, err);

	if (r == 0 && (r = fb_dbus_connect(scope->user, &bus, err)) == 0) {
		r = start(&bus, scope->unit, &body, err);
		fb_dbus_disconnect(&bus);
	}
	fb_dbus_body_free(&body);
	return r;
}

int fb_systemd_update(const char *unit, bool user, const struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err)
{
	struct fb_dbus_body body = {0};
	struct fb_dbus bus;
	size_t array;
	int r = fb_dbus_connect(user, &bus, err);

	if (r < 0)
		return r;
	fb_dbus_text(&body, unit);
	fb_dbus_u32(&body, true); /* not for longer than this unit */
	array = fb_dbus_open(&body, 8);
	fb_systemd_limits(&body, group->mode, resources, group);
	fb_dbus_close(&body, array, 8);
	r = fb_dbus_call(&bus, "SetUnitProperties", "sba(sv)", &body, NULL, unit, NULL, err);
	fb_dbus_body_free(&body);
	fb_dbus_disconnect(&bus);
	return r;
}

/* 1 when there is such a unit, and it is ours. */
static int is_ours(struct fb_dbus *bus, const char *unit, const char *owner, struct fb_error *err)
{
	struct fb_dbus_body body = {0};
	struct fb_error ours = {0};
	const char *path = NULL, *text = NULL;
	char object[512];
	int r;

	fb_dbus_text(&body, unit);
	r = fb_dbus_call(bus, "GetUnit", "s", &body, "org.freedesktop.systemd1.NoSuchUnit", unit, &path, &ours);
	fb_dbus_body_free(&body);
	if (r == -EEXIST)
		return 0;
	if (r == 0) {
		snprintf(object, sizeof(object), "%s", path ? path : "");
		r = fb_dbus_property(bus, object, "org.freedesktop.systemd1.Unit", "Description", &text, &ours);
	}
	if (r == 0)
		return strncmp(text, OWNER, sizeof(OWNER) - 1) == 0 && strcmp(text + sizeof(OWNER) - 1, owner) == 0;
	/* It may have gone between the two questions: without it there is no such object. */
	if (r == -EREMOTEIO)
		return 0;
	if (err)
		*err = ours;
	return r;
}

static int stop(struct fb_dbus *bus, const char *unit, struct fb_error *err)
{
	struct fb_dbus_body body = {0};
	struct fb_error ours = {0};
	const char *job = NULL;
	int r;

	fb_dbus_text(&body, unit);
	fb_dbus_text(&body, "replace");
	r = fb_dbus_call(bus, "StopUnit", "ss", &body, "org.freedesktop.systemd1.NoSuchUnit", unit, &job, &ours);
	fb_dbus_body_free(&body);
	/* With its last process systemd itself has ended it: nothing to wait for. */
	if (r == -EEXIST)
		return 0;
	if (r < 0 && err)
		*err = ours;
	if (r == 0)
		r = fb_dbus_await_job(bus, job, unit, err);
	forget(bus, unit);
	return r;
}

int fb_systemd_stop(const char *unit, const char *owner, bool user, struct fb_error *err)
{
	struct fb_dbus bus;
	int r = fb_dbus_connect(user, &bus, err);

	if (r < 0)
		return r;
	r = is_ours(&bus, unit, owner, err);
	if (r > 0)
		r = stop(&bus, unit, err);
	fb_dbus_disconnect(&bus);
	return r;
}
