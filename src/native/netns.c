#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "cleanup.h"

/* The thread's own, since the one that asks may not be the process's first. */
#define OWN "/proc/thread-self/ns/net"

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

int fb_netns_socket(int network_namespace, int family, int type, struct fb_error *err)
{
	struct fb_netns_visit visit = {-1};
	int fd, code, r = fb_netns_enter(&visit, network_namespace, err);

	if (r < 0)
		return r;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	code = errno;
	fb_netns_leave(&visit);
	return fd < 0 ? FB_FAIL_CODE(err, FB_STAGE_NETWORK, code, "socket", NULL, NULL) : fd;
}
