#include "freeze.h"

#include <errno.h>

#define FAIL(code, detail)                                                                         \
	FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", container->id, (detail))

int fb_freeze(struct fb_container *container, struct fb_conversation *conversation,
	      struct fb_error *err)
{
	int r;

	if (container->freezer)
		return FAIL(EBUSY, "its processes are stopped already");
	if (!container->grouped)
		return FAIL(ENOTSUP, "it has no control group");
	r = fb_cgroup_join_freezer(&container->cgroup, err);
	if (r == 0)
		r = fb_cgroup_freeze(&container->cgroup, true, err);
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
	return fb_cgroup_freeze(&container->cgroup, false, err);
}

void fb_thaw_to_die(struct fb_container *container)
{
	if (container->freezer)
		(void)fb_cgroup_freeze(&container->cgroup, false, NULL);
	container->freezer = NULL;
}

void fb_thaw_all(struct fb_supervisor *sup, struct fb_conversation *conversation)
{
	for (struct fb_container *c = sup->containers; c; c = c->next)
		if (c->freezer == conversation)
			fb_thaw_to_die(c);
}
