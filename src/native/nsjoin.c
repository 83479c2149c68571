/* Control groups and namespaces that exist, the id mappings, and the loopback of a new network. */
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
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
	/* CVE-2016-9962: whoever has rights in the container's user namespace could trace us there, with the host's descriptors. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return FB_CHILD_FAIL(child, op, "prctl(DUMPABLE)");
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

/* EINVAL: the user namespace has no such id. One without 0 is entered as who the process will be: somebody has to own what is made. */
static bool take_ids(uid_t uid, gid_t gid)
{
	return fb_setresgid(gid) == 0 && fb_setresuid(uid) == 0;
}

/* All rights in the namespace are held since the clone; the ids are still the host's, which it may not even have a number for. */
int fb_op_become_root(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_process_spec *process = child->plan->process;

	if (!take_ids(0, 0) && (errno != EINVAL || !take_ids(process->uid, process->gid)))
		return FB_CHILD_FAIL_CODE(child, op, errno, "setresuid",
					  "the user namespace has neither id 0 nor the process's");
	/* All rights, and yet not this one: it was given up for the right to write gid_map. */
	child->no_groups = fb_setgroups(0, NULL) < 0;
	if (child->no_groups && errno != EPERM)
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
