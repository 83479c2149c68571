#include "launch.h"

#include <errno.h>

#include "child.h"
#include "clone.h"

int fb_launch(const struct fb_launch_request *request, struct fb_launched *ret_launched, struct fb_error *err)
{
	struct fb_launched launched = {.pid = -1, .pidfd = -1, .console = -1};
	struct fb_plan plan;
	int r;

	launched.clocks.begin = fb_now();
	r = fb_plan_build(request, &plan, err);
	if (r < 0)
		return r;
	launched.clocks.at[FB_STAGE_PLAN] = fb_now();
	r = fb_clone(&plan, &launched, err);
	fb_plan_free(&plan);
	if (r == 0)
		*ret_launched = launched;
	return r;
}

/* Docker's table: 127 is a command that is not there, 126 one that can't be run, 125 everything of ours. */
int fb_launch_exit_code(const struct fb_error *err)
{
	if (err->stage != FB_STAGE_EXEC)
		return 125;
	return err->code == ENOENT ? 127 : 126;
}
