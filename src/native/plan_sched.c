/* When and where the process runs: scheduling policy, I/O priority, CPUs, personality. */
#include "plan.h"

#include <errno.h>

#include "spec_sched.h"

static int add(struct fb_plan *plan, enum fb_op_type type, struct fb_op **ret_op, struct fb_error *err)
{
	*ret_op = fb_plan_add(plan, type, FB_STAGE_CREDS);
	return *ret_op ? 0 : fb_plan_no_memory(err);
}

int fb_plan_affinity(struct fb_plan *plan, const char *list, struct fb_error *err)
{
	const size_t size = FB_CPU_WORDS * sizeof(unsigned long);
	struct fb_op *op;
	void *mask;

	if (!list)
		return 0;
	mask = fb_arena_alloc(&plan->arena, size);
	if (!mask)
		return fb_plan_no_memory(err);
	if (fb_cpu_list(list, mask, FB_CPU_WORDS) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_PLAN, EINVAL, "sched_setaffinity", list, "is not a list of CPUs");
	if (add(plan, FB_OP_AFFINITY, &op, err) < 0)
		return -ENOMEM;
	op->path = list;
	op->text = mask;
	op->flags = size;
	return 0;
}

int fb_plan_scheduling(struct fb_plan *plan, struct fb_error *err)
{
	struct fb_op *op;

	if (plan->process->scheduler.present && add(plan, FB_OP_SCHEDULER, &op, err) < 0)
		return -ENOMEM;
	if (plan->process->io_priority.present && add(plan, FB_OP_IO_PRIORITY, &op, err) < 0)
		return -ENOMEM;
	if (!plan->spec->has_personality)
		return 0;
	if (add(plan, FB_OP_PERSONALITY, &op, err) < 0)
		return -ENOMEM;
	op->flags = plan->spec->personality;
	return 0;
}
