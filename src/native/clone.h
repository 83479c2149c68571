/* From a plan to a running process. */
#ifndef FB_CLONE_H
#define FB_CLONE_H

#include "plan.h"

/* Clone, let the child walk the plan, and wait until it has executed the command or failed; a failed one is reaped. */
int fb_clone(struct fb_plan *plan, struct fb_launched *ret_launched, struct fb_error *err);

#endif
