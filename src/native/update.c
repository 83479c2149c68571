#include "update.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "start.h"

#define FAIL(code, detail) FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", container->id, (detail))

int fb_update(struct fb_supervisor *sup, struct fb_container *container, const char *text, struct fb_error *err)
{
	struct fb_resources resources = {0};
	struct fb_arena arena = {0};
	int before = container->cgroup.path_count, r;

	if (!container->grouped)
		return FAIL(ENOTSUP, "it has no control group");
	r = fb_spec_parse_resources(text, strlen(text), &arena, &resources, err);
	if (r == 0) {
		/* What it may reach is not changed while it runs. */
		resources.device_count = 0;
		r = fb_cgroup_change(&container->cgroup, &resources, err);
	}
	/* Also when it failed: groups that were joined have to be found by a healer. */
	if (container->cgroup.path_count != before)
		(void)fb_live_write(sup, container, container->task.pid, NULL);
	fb_arena_free(&arena);
	return r;
}
