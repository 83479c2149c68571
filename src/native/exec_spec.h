/* The parsed bundles of the containers that a session's supervisor has lately run an exec in, and their filters: to read them is a third of a
 * short exec. A supervisor of one container keeps none, since parsed they would be the largest thing in it.
 */
#ifndef FB_EXEC_SPEC_H
#define FB_EXEC_SPEC_H

#include "seccomp.h"
#include "spec.h"

#define FB_EXEC_SPECS 4

struct fb_supervisor;
struct fb_container;

struct fb_exec_specs {
	struct fb_exec_spec {
		const struct fb_container *of; /* NULL: empty */
		struct fb_spec spec;
		struct fb_seccomp_program filter; /* the spec's memory */
		unsigned uses;
	} slots[FB_EXEC_SPECS]; /* the last used first */
};

/* The container's spec and filter: kept, or made in `room`, whose spec is the caller's to free (it is empty otherwise). */
int fb_exec_spec_get(struct fb_supervisor *sup, const struct fb_container *container, struct fb_exec_spec *room,
		     const struct fb_exec_spec **ret_spec, struct fb_error *err);
/* The container is no more. */
void fb_exec_spec_forget(struct fb_supervisor *sup, const struct fb_container *container);

#endif
