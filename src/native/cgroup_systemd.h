/* A container's scope: a unit that systemd makes around processes which it has not started. */
#ifndef FB_CGROUP_SYSTEMD_H
#define FB_CGROUP_SYSTEMD_H

#include <sys/types.h>

#include "cgroup.h"
#include "dbus.h"
#include "error.h"
#include "spec.h"

struct fb_systemd_scope {
	const char *unit, *slice, *owner; /* owner: the path of the container's state, which the description names */
	pid_t pid; /* the process to begin with */
	bool user; /* of the user's own systemd */
	enum fb_cgroup_mode mode;
	const struct fb_resources *resources;
	const struct fb_strv *annotations; /* key, value: org.systemd.property.* are more properties */
};

/* Make the scope with the process in it, delegated, with those of the limits that systemd knows. A unit of this name that has failed is forgotten
 * first; one that lives is -EEXIST. */
int fb_systemd_start(const struct fb_systemd_scope *scope, struct fb_error *err);
/* Tell systemd of limits that the group has got. */
int fb_systemd_update(const char *unit, bool user, const struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err);
/* Stop the unit, wait until it has, and forget how it ended. Fine when there is none, or only one of this name that is another's. */
int fb_systemd_stop(const char *unit, const char *owner, bool user, struct fb_error *err);

/* --- within cgroup_systemd*.c --- */

/* One property, for a body whose array of (sv) is open: its name and its value's type; the value follows. */
void fb_systemd_property(struct fb_dbus_body *body, const char *name, const char *type);
/* The limits as properties. `group` is the one there is, for what an update leaves as it is; NULL: a new one. */
void fb_systemd_limits(struct fb_dbus_body *body, enum fb_cgroup_mode mode, const struct fb_resources *resources,
		       const struct fb_cgroup *group);
int fb_systemd_annotations(struct fb_dbus_body *body, const struct fb_strv *annotations, struct fb_error *err);

#endif
