/* When a container that has ended starts again. Docker's rules, without a clock or a process. */
#ifndef FB_RESTART_POLICY_H
#define FB_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum fb_restart_policy { FB_RESTART_NO, FB_RESTART_ON_FAILURE, FB_RESTART_ALWAYS, FB_RESTART_UNLESS_STOPPED };

struct fb_restart {
	enum fb_restart_policy policy;
	uint32_t most;	  /* starts after a failure; 0: no bound */
	unsigned count;	  /* how often it has been started again */
	unsigned wait_ms; /* before the last time; 0: the next wait is the first */
};

/* By docker's name. */
bool fb_restart_policy_of(const char *name, enum fb_restart_policy *ret_policy);
/* Its process has ended with `code` after `ran` nanoseconds, and nobody wanted that: milliseconds until it is started again (counted
 * here), or -1. */
int fb_restart_after(struct fb_restart *restart, int code, uint64_t ran);

#endif
