/* The operations of plan_sched.c. */
#include <linux/ioprio.h>
#include <linux/sched/types.h>

#include "child.h"
#include "sys.h"

int fb_op_affinity(struct fb_child *child, const struct fb_op *op)
{
	if (syscall(SYS_sched_setaffinity, 0, (size_t)op->flags, op->text) < 0)
		return FB_CHILD_FAIL_CODE(child, op, errno, "sched_setaffinity",
					  errno == EINVAL ? "the container may use none of these CPUs" : NULL);
	return 0;
}

int fb_op_scheduler(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_scheduler *scheduler = &child->plan->process->scheduler;
	struct sched_attr attr = {
		.size = SCHED_ATTR_SIZE_VER0,
		.sched_policy = scheduler->policy,
		.sched_flags = scheduler->flags,
		.sched_nice = scheduler->nice,
		.sched_priority = (uint32_t)scheduler->priority,
		.sched_runtime = scheduler->runtime,
		.sched_deadline = scheduler->deadline,
		.sched_period = scheduler->period,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
		return 0;
	/* A deadline is promised for all CPUs or not at all. */
	return FB_CHILD_FAIL_CODE(child, op, errno, "sched_setattr",
				  errno != EPERM		       ? NULL :
				  scheduler->policy == SCHED_DEADLINE ? "needs CAP_SYS_NICE, and every CPU of the machine" :
									"needs CAP_SYS_NICE outside of any user namespace");
}

int fb_op_io_priority(struct fb_child *child, const struct fb_op *op)
{
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, child->plan->process->io_priority.value) < 0)
		return FB_CHILD_FAIL(child, op, "ioprio_set");
	return 0;
}

int fb_op_personality(struct fb_child *child, const struct fb_op *op)
{
	return syscall(SYS_personality, op->flags) < 0 ? FB_CHILD_FAIL(child, op, "personality") : 0;
}
