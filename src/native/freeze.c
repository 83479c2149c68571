#include "freeze.h"

#include <errno.h>

#include "health.h"
#include "start.h"

#define FAIL(code, detail)                                                                         \
	FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", container->id, (detail))

static int stop_all(struct fb_container *container, struct fb_error *err)
{
	int r;

	if (!container->grouped)
		return FAIL(ENOTSUP, "it has no control group");
	r = fb_cgroup_join_freezer(&container->cgroup, err);
	return r == 0 ? fb_cgroup_freeze(&container->cgroup, true, err) : r;
}

int fb_freeze(struct fb_container *container, struct fb_conversation *conversation,
	      struct fb_error *err)
{
	int r;

	if (container->freezer)
		return FAIL(EBUSY, "its processes are stopped already");
	r = container->paused ? 0 : stop_all(container, err);
	if (r == 0)
		container->freezer = conversation;
	return r;
}

int fb_thaw(struct fb_container *container, struct fb_conversation *conversation,
	    struct fb_error *err)
{
	if (container->freezer && container->freezer != conversation)
		return FAIL(EPERM, "another client has stopped its processes");
	container->freezer = NULL;
	return container->paused ? 0 : fb_cgroup_freeze(&container->cgroup, false, err);
}

int fb_pause(struct fb_supervisor *sup, struct fb_container *container, bool paused, struct fb_error *err)
{
	int r = 0;

	if (container->paused == paused)
		return FAIL(EALREADY, paused ? "it is paused already" : "it is not paused");
	if (!container->freezer)
		r = paused ? stop_all(container, err) : fb_cgroup_freeze(&container->cgroup, false, err);
	if (r < 0)
		return r;
	container->paused = paused;
	/* Its health is asked for again when it can answer. */
	fb_health_paused(sup, container);
	(void)fb_live_write(sup, container, container->task.pid, NULL);
	return 0;
}

void fb_thaw_to_die(struct fb_container *container)
{
	if (container->freezer || container->paused)
		(void)fb_cgroup_freeze(&container->cgroup, false, NULL);
	container->freezer = NULL;
	container->paused = false;
}

void fb_thaw_all(struct fb_supervisor *sup, struct fb_conversation *conversation)
{
	for (struct fb_container *c = sup->containers; c; c = c->next)
		if (c->freezer == conversation)
			(void)fb_thaw(c, conversation, NULL);
}
