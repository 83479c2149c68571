#include "between.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sys.h"
#include "userns.h"

/* Those of the mask; who may not join yet is left for later, when `later`. */
static int join(const struct fb_plan *plan, bool done[], uint64_t mask, bool later, struct fb_error *err)
{
	for (size_t i = 0; i < plan->join_count; i++) {
		const struct fb_join *join = &plan->joins[i];

		/* The child enters a mount namespace itself: see plan_namespaces.c. */
		if (done[i] || !(join->types & mask) || join->types == CLONE_NEWNS)
			continue;
		if (setns(join->fd, (int)join->types) == 0)
			done[i] = true;
		else if (errno != EPERM || !later)
			return FB_FAIL_CODE(err, FB_STAGE_JOIN, errno, "setns", join->path,
					    errno == ESRCH ? "the container is not running" : NULL);
	}
	return 0;
}

/* With the caller's rights first, then with those that come with the user namespace: which ones a namespace wants can't be asked. */
static int join_all(const struct fb_plan *plan, struct fb_error *err)
{
	bool done[sizeof(plan->joins) / sizeof(*plan->joins)] = {false};
	bool user = plan->user_namespace >= 0;
	int r;

	/* Whoever has rights in that user namespace could otherwise trace us there, with the host's descriptors in our hands. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return FB_FAIL(err, FB_STAGE_JOIN, "prctl(DUMPABLE)", NULL);
	r = join(plan, done, ~(uint64_t)CLONE_NEWUSER, user, err);
	if (r == 0)
		r = join(plan, done, CLONE_NEWUSER, false, err);
	return r < 0 ? r : join(plan, done, ~UINT64_C(0), false, err);
}

int fb_between(const struct fb_plan *plan, int (*clone)(void *context, struct fb_between *between), void *context,
	       pid_t *ret_pid, struct fb_error *err)
{
	struct fb_between *between = mmap(NULL, sizeof(*between), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int r = 0;

	if (between == MAP_FAILED)
		return FB_FAIL(err, FB_STAGE_CLONE, "mmap", NULL);
	/* Its signal is inherited by the clone: with CLONE_PARENT there is no other way to give it one. */
	pid = fb_copy(SIGCHLD);
	if (pid == 0) {
		if (join_all(plan, &between->error) == 0)
			clone(context, between);
		_exit(0);
	}
	if (pid < 0)
		r = FB_FAIL(err, FB_STAGE_CLONE, "clone", NULL);
	else if (fb_copy_wait(pid) < 0)
		r = FB_FAIL_CODE(err, FB_STAGE_CLONE, EINTR, "clone", "", "the process in between was killed");
	/* The clone is ours to end, even when who made it is gone. */
	*ret_pid = between->pid ? between->pid : -1;
	if (r == 0 && between->error.code) {
		*err = between->error;
		r = -between->error.code;
	}
	munmap(between, sizeof(*between));
	return r;
}
