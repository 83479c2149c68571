/* A process in between: it joins what has to be joined, and clones the container as its own parent's child. */
#ifndef FB_BETWEEN_H
#define FB_BETWEEN_H

#include "plan.h"

/* What the caller's memory and that of the process in between have in common. */
struct fb_between {
	struct fb_error error;
	int32_t pid; /* of the clone, put there by the kernel before the clone runs (CLONE_PARENT_SETTID); 0: none */
};

/* Have `clone` called with `context` where the plan's joins are done; it must clone with CLONE_PARENT. Signals are blocked. */
int fb_between(const struct fb_plan *plan, int (*clone)(void *context, struct fb_between *between), void *context,
	       pid_t *ret_pid, struct fb_error *err);

#endif
