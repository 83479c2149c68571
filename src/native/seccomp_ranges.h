/* The same filter in fewer instructions. The kernel translates a filter for every process that installs it, and that is the largest part of what an
 * exec costs: 0.4 ms for the 1,270 instructions that libseccomp makes of docker's profile, which compare with each call's number. Numbers
 * that lie together mostly have the same answer, so some 320 do: a tree over the bounds of ranges, and in each range a few single numbers.
 */
#ifndef FB_SECCOMP_RANGES_H
#define FB_SECCOMP_RANGES_H

#include <linux/filter.h>
#include <stddef.h>

/* `filter` is replaced by one with the same answer to every call, of at most `length` instructions; returns how many. Its own length: it holds
 * what is not understood here, or would not become shorter, and is as it was. */
size_t fb_seccomp_to_ranges(struct sock_filter *filter, size_t length);

#endif
