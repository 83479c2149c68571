/* Times of files as one number. */
#ifndef FB_TIMES_H
#define FB_TIMES_H

#include <stdint.h>
#include <time.h>

/* Since 1970; the most or the least there is for what does not fit, which is some 292 years away. */
static inline int64_t fb_nanoseconds(struct timespec time)
{
	int64_t result;

	if (__builtin_mul_overflow((int64_t)time.tv_sec, INT64_C(1000000000), &result) ||
	    __builtin_add_overflow(result, (int64_t)time.tv_nsec, &result))
		return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return result;
}

#endif
