/* How the kernel schedules the process: `scheduler`, `ioPriority` and `execCPUAffinity` of the process, `personality` of linux. */
#include "spec_sched.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>

#include "spec_json.h"

#define NO_SUCH_POLICY UINT32_MAX

static const struct fb_word policies[] = {
	{"SCHED_OTHER", SCHED_NORMAL}, {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
	{"SCHED_BATCH", SCHED_BATCH},  {"SCHED_IDLE", SCHED_IDLE}, {"SCHED_DEADLINE", SCHED_DEADLINE},
	{"SCHED_ISO", NO_SUCH_POLICY}, {0},
};

static const struct fb_word flags[] = {
	{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
	{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
	{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
	{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
	{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
	{0},
};

static const struct fb_word io_classes[] = {
	{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
	{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
	{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
	{0},
};

static const struct fb_word domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}, {0}};

/* What the kernel would refuse with one EINVAL for all of them, or ignore without a word. */
static int check_scheduler(const struct fb_node *node, const struct fb_scheduler *scheduler)
{
	bool fixed = scheduler->policy == SCHED_FIFO || scheduler->policy == SCHED_RR;

	if (scheduler->policy == NO_SUCH_POLICY)
		return fb_member_fail(node, "policy", "SCHED_ISO is in no kernel");
	if (fixed && scheduler->priority < 1)
		return fb_member_fail(node, "priority", "must be 1 to 99 for SCHED_FIFO and SCHED_RR");
	if (!fixed && scheduler->priority)
		return fb_member_fail(node, "priority", "goes with SCHED_FIFO and SCHED_RR only");
	if (scheduler->policy != SCHED_DEADLINE && (scheduler->runtime || scheduler->deadline || scheduler->period))
		return fb_member_fail(node, "runtime", "and deadline and period go with SCHED_DEADLINE only");
	if (scheduler->policy == SCHED_DEADLINE && (!scheduler->runtime || !scheduler->deadline))
		return fb_member_fail(node, "runtime", "and deadline are needed by SCHED_DEADLINE");
	if (scheduler->flags & SCHED_FLAG_UTIL_CLAMP)
		return fb_member_fail(node, "flags", "utilization clamps need values, for which there is no property");
	return 0;
}

static int read_scheduler(const struct fb_node *process_node, struct fb_scheduler *scheduler)
{
	uint64_t policy = 0;
	int64_t nice = 0, priority = 0;
	struct fb_node node;
	int r = fb_json_object(process_node, "scheduler", &node);

	if (r <= 0)
		return r;
	r = fb_json_word(&node, "policy", policies, "unknown scheduling policy", &policy);
	if (r <= 0)
		return r < 0 ? r : fb_member_fail(&node, "policy", "is missing");
	if ((r = fb_json_int(&node, "nice", -20, 19, &nice)) < 0 ||
	    (r = fb_json_int(&node, "priority", 0, 99, &priority)) < 0 ||
	    (r = fb_json_flags(&node, "flags", flags, "unknown scheduling flag", &scheduler->flags)) < 0 ||
	    (r = fb_json_uint(&node, "runtime", INT64_MAX, &scheduler->runtime)) < 0 ||
	    (r = fb_json_uint(&node, "deadline", INT64_MAX, &scheduler->deadline)) < 0 ||
	    (r = fb_json_uint(&node, "period", INT64_MAX, &scheduler->period)) < 0)
		return r;
	scheduler->present = true;
	scheduler->policy = (uint32_t)policy;
	scheduler->nice = (int32_t)nice;
	scheduler->priority = (int32_t)priority;
	return check_scheduler(&node, scheduler);
}

static int read_io_priority(const struct fb_node *process_node, struct fb_io_priority *priority)
{
	uint64_t class = 0;
	uint32_t level = 0;
	struct fb_node node;
	int r = fb_json_object(process_node, "ioPriority", &node);

	if (r <= 0)
		return r;
	r = fb_json_word(&node, "class", io_classes, "unknown class of I/O", &class);
	if (r <= 0)
		return r < 0 ? r : fb_member_fail(&node, "class", "is missing");
	if ((r = fb_json_u32(&node, "priority", IOPRIO_NR_LEVELS - 1, &level)) < 0)
		return r;
	priority->present = true;
	priority->value = (int)(class << IOPRIO_CLASS_SHIFT | level);
	return 0;
}

/* One number below `limit`; NULL when there is none. */
static const char *read_number(const char *text, unsigned long limit, unsigned long *ret_number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	*ret_number = strtoul(text, &end, 10);
	return *ret_number < limit ? end : NULL;
}

int fb_cpu_list(const char *text, unsigned long *mask, size_t words)
{
	const size_t bits = 8 * sizeof(*mask);
	unsigned long first, last;
	bool any = false;

	memset(mask, 0, words * sizeof(*mask));
	while (*(text += strspn(text, ", "))) {
		if (!(text = read_number(text, words * bits, &first)))
			return -EINVAL;
		last = first;
		text += strspn(text, " ");
		if (*text == '-' && !(text = read_number(text + 1 + strspn(text + 1, " "), words * bits, &last)))
			return -EINVAL;
		text += strspn(text, " ");
		if (last < first || (*text && *text != ','))
			return -EINVAL;
		for (; first <= last; first++)
			mask[first / bits] |= 1ul << first % bits;
		any = true;
	}
	return any ? 0 : -EINVAL;
}

static int read_cpus(const struct fb_node *node, const char *key, const char **ret_list)
{
	unsigned long mask[FB_CPU_WORDS];
	int r = fb_json_text(node, key, ret_list);

	return r > 0 && fb_cpu_list(*ret_list, mask, FB_CPU_WORDS) < 0 ?
		       fb_member_fail(node, key, "is not a list of CPUs like 0-3,7") :
		       r;
}

static int read_affinity(const struct fb_node *process_node, struct fb_process_spec *process)
{
	struct fb_node node;
	int r = fb_json_object(process_node, "execCPUAffinity", &node);

	if (r <= 0)
		return r;
	if ((r = read_cpus(&node, "initial", &process->cpu_affinity_initial)) < 0)
		return r;
	return read_cpus(&node, "final", &process->cpu_affinity_final);
}

int fb_spec_read_scheduling(const struct fb_node *process_node, struct fb_process_spec *process)
{
	int r = read_scheduler(process_node, &process->scheduler);

	if (r >= 0)
		r = read_io_priority(process_node, &process->io_priority);
	return r < 0 ? r : read_affinity(process_node, process);
}

int fb_spec_read_personality(const struct fb_node *linux_node, struct fb_spec *spec)
{
	struct fb_strv none = {0};
	struct fb_node node;
	uint64_t domain = 0;
	int r = fb_json_object(linux_node, "personality", &node);

	if (r <= 0)
		return r;
	r = fb_json_word(&node, "domain", domains, "must be LINUX or LINUX32", &domain);
	if (r <= 0)
		return r < 0 ? r : fb_member_fail(&node, "domain", "is missing");
	if ((r = fb_json_strv(&node, "flags", &none)) < 0)
		return r;
	if (none.count)
		return fb_member_fail(&node, "flags", "the specification has none yet");
	spec->has_personality = true;
	spec->personality = domain;
	return 0;
}
