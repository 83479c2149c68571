/* Control groups and namespaces that exist, the id mappings, and the loopback of a new network. */
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "child.h"
#include "cleanup.h"
#include "sys.h"

int fb_op_join_cgroups(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_plan *plan = child->plan;

	for (size_t i = 0; i < plan->procs_count; i++)
		if (write(plan->procs[i], "0", 1) != 1)
			return FB_CHILD_FAIL(child, op, "write(cgroup.procs)");
	/* The namespace takes the groups of this moment as its roots. */
	if (plan->late_cgroup_namespace && unshare(CLONE_NEWCGROUP) < 0)
		return FB_CHILD_FAIL(child, op, "unshare(CLONE_NEWCGROUP)");
	return 0;
}

int fb_op_join_namespace(struct fb_child *child, const struct fb_op *op)
{
	return setns(op->number, (int)op->flags) < 0 ? FB_CHILD_FAIL(child, op, "setns") : 0;
}

int fb_op_join_target(struct fb_child *child, const struct fb_op *op)
{
	if (setns(child->plan->request->target_pidfd, (int)op->flags) < 0)
		return FB_CHILD_FAIL_CODE(child, op, errno, "setns",
					  errno == ESRCH ? "the container is not running" : NULL);
	return 0;
}

int fb_op_await_parent(struct fb_child *child, const struct fb_op *op)
{
	char byte;
	ssize_t n;

	do
		n = read(child->socket, &byte, 1);
	while (n < 0 && errno == EINTR);
	/* The parent says nothing when it failed, and reports that itself. */
	return n == 1 ? 0 : FB_CHILD_FAIL_CODE(child, op, ECANCELED, "read", "the parent gave up");
}

/* All rights in the namespace are held since the clone; the ids are still the host's, which it may not even have a number for. */
int fb_op_become_root(struct fb_child *child, const struct fb_op *op)
{
	if (fb_setresgid(0) < 0)
		return FB_CHILD_FAIL(child, op, "setresgid");
	if (fb_setresuid(0) < 0)
		return FB_CHILD_FAIL(child, op, "setresuid");
	if (fb_setgroups(0, NULL) < 0)
		return FB_CHILD_FAIL(child, op, "setgroups");
	return 0;
}

int fb_op_loopback(struct fb_child *child, const struct fb_op *op)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	fb_auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return FB_CHILD_FAIL(child, op, "socket");
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return FB_CHILD_FAIL(child, op, "ioctl(SIOCSIFFLAGS)");
	return 0;
}
