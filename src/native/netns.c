#include "netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

#define OWN "/proc/self/ns/net"

static int open_own(struct fb_error *err)
{
	int fd = open(OWN, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? FB_FAIL(err, FB_STAGE_NETWORK, "open", OWN) : fd;
}

int fb_netns_make(struct fb_netns_visit *visit, int *ret_namespace, struct fb_error *err)
{
	fb_auto_close int back = open_own(err);
	int made;

	if (back < 0)
		return back;
	if (unshare(CLONE_NEWNET) < 0)
		return FB_FAIL(err, FB_STAGE_NETWORK, "unshare(CLONE_NEWNET)", NULL);
	visit->back = fb_steal_fd(&back);
	made = open_own(err);
	if (made < 0) {
		fb_netns_leave(visit);
		return made;
	}
	*ret_namespace = made;
	return 0;
}

int fb_netns_enter(struct fb_netns_visit *visit, int network_namespace, struct fb_error *err)
{
	fb_auto_close int back = open_own(err);

	if (back < 0)
		return back;
	if (setns(network_namespace, CLONE_NEWNET) < 0)
		return FB_FAIL(err, FB_STAGE_NETWORK, "setns", OWN);
	visit->back = fb_steal_fd(&back);
	return 0;
}

void fb_netns_leave(struct fb_netns_visit *visit)
{
	if (visit->back < 0)
		return;
	if (setns(visit->back, CLONE_NEWNET) < 0)
		abort();
	fb_cleanup_fd(&visit->back);
}

int fb_netns_of(pid_t pid, struct fb_error *err)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? FB_FAIL(err, FB_STAGE_NETWORK, "open", path) : fd;
}
