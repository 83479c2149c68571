/* Lists of CPUs as the kernel writes them. */
#ifndef FB_SPEC_SCHED_H
#define FB_SPEC_SCHED_H

#include <stddef.h>

#define FB_CPUS_MAX 8192 /* the kernel's largest configuration */
#define FB_CPU_WORDS (FB_CPUS_MAX / (8 * sizeof(unsigned long)))

/* "0-3,7" as bits. -EINVAL for anything else, an empty list too. */
int fb_cpu_list(const char *text, unsigned long *mask, size_t words);

#endif
