/* The parent's side of a start that stands still on its way. */
#ifndef FB_MEET_H
#define FB_MEET_H

#include "plan.h"

#define FB_MEET_HOOKS 'h'   /* everything is mounted, the root is still the host's */
#define FB_MEET_CREATED 'c' /* everything but the command is done */

/* Everything that the child will read or write on the way and that has to be open before the clone. */
int fb_meet_open(struct fb_plan *plan, struct fb_error *err);
/* Until the child has executed its command, waits for `start`, or is gone. */
int fb_meet(const struct fb_plan *plan, int socket, struct fb_launched *launched, struct fb_error *err);

#endif
