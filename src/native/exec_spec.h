/* What is kept of the containers that a session's supervisor has lately run an exec in, since to make it anew is half of a short exec: the parsed
 * bundle, its filter, and an empty control group. A supervisor of one container keeps nothing, since this would be the largest thing in it.
 */
#ifndef FB_EXEC_SPEC_H
#define FB_EXEC_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "seccomp.h"
#include "spec.h"

#define FB_EXEC_SPECS 4

struct fb_supervisor;
struct fb_container;

struct fb_exec_group { /* an exec's own */
	char path[288]; /* "": none */
	int fd;		/* what the clone needs: on v2 its directory, which stays open; -1: none */
	int events, stat; /* v2: its cgroup.events and cpu.stat, once they were read; -1 */
	bool v2;
	int64_t used; /* microseconds, by those that had it before */
};

struct fb_exec_specs {
	struct fb_exec_spec {
		const struct fb_container *of; /* NULL: empty */
		struct fb_spec spec;
		struct fb_seccomp_program filter; /* the spec's memory */
		unsigned uses;
		struct fb_exec_group group; /* one that is empty, for the next */
	} slots[FB_EXEC_SPECS]; /* the last used first */
};

/* The container's spec and filter: kept, or made in `room`, whose spec is the caller's to free (it is empty otherwise). */
int fb_exec_spec_get(struct fb_supervisor *sup, const struct fb_container *container, struct fb_exec_spec *room,
		     const struct fb_exec_spec **ret_spec, struct fb_error *err);
/* Where the container's empty group is kept, NULL: nowhere. */
struct fb_exec_group *fb_exec_spec_group(struct fb_supervisor *sup, const struct fb_container *container);
/* The container is no more. */
void fb_exec_spec_forget(struct fb_supervisor *sup, const struct fb_container *container);

#endif
