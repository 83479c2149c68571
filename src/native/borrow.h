/* The namespaces that the caller goes to for the moment of a clone, and its way back. */
#ifndef FB_BORROW_H
#define FB_BORROW_H

#include <stdbool.h>

#include "launch.h"

struct fb_plan;

int fb_home_open(struct fb_home *ret_home, struct fb_error *err);
void fb_home_close(struct fb_home *home);

struct fb_borrowed {
	const struct fb_home *home;
	struct fb_home own; /* when the request brings none */
	int time, dumpable;
	uint64_t away; /* CLONE_NEW*: where it is not at home */
};

/* What the plan wants to be cloned in. Between this and its counterpart nothing may be named by a path. After a failure, too, the counterpart
 * follows. */
int fb_borrow(const struct fb_plan *plan, struct fb_borrowed *ret_back, struct fb_error *err);
/* Aborts when there is no way back: the next path would be the container's. */
int fb_borrow_return(struct fb_borrowed *back, struct fb_error *err);

#endif
