#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "cleanup.h"

#define FAIL(call, path) FB_FAIL(err, FB_STAGE_NETWORK, (call), (path))

int fb_inside_enter(int network_namespace, int *ret_back, struct fb_error *err)
{
	/* The thread's own, since the one that asks may not be the process's first. */
	fb_auto_close int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (back < 0)
		return FAIL("open", "/proc/thread-self/ns/net");
	if (setns(network_namespace, CLONE_NEWNET) < 0)
		return FAIL("setns", "the container's network namespace");
	*ret_back = fb_steal_fd(&back);
	return 0;
}

void fb_inside_leave(int *back)
{
	if (setns(*back, CLONE_NEWNET) < 0)
		abort();
	fb_cleanup_fd(back);
}

int fb_inside_socket(int network_namespace, int family, int type, struct fb_error *err)
{
	int back = -1, fd, code, r = fb_inside_enter(network_namespace, &back, err);

	if (r < 0)
		return r;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	code = errno;
	fb_inside_leave(&back);
	return fd < 0 ? FB_FAIL_CODE(err, FB_STAGE_NETWORK, code, "socket", NULL, NULL) : fd;
}
