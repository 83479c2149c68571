/* What a container uses at one moment: what `stats` shows, and cheap enough for a thousand containers a second. */
#ifndef FB_SAMPLE_H
#define FB_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FB_SAMPLE_GROUPS 32 /* as many as a container can have, and more */

struct fb_sample {
	uint64_t cpu; /* ns since it started */
	uint64_t memory, inactive; /* bytes; inactive: pages of files that nobody would miss, a part of `memory` */
	uint64_t limit; /* bytes of memory; UINT64_MAX: none */
	uint64_t block_read, block_written; /* bytes */
	uint64_t received, sent; /* bytes, of every interface but the loopback */
	uint64_t pids;
};

/* Of a container's groups (`v2`: the host has that hierarchy only). A group counts what its controllers count; a container that was started
 * without a controller is counted by its processes in /proc: CPU time with that of children that were waited for, proportional set sizes,
 * and bytes of storage. `pid`: whose network; 0: none of its own. What has ended meanwhile counts nothing. */
void fb_sample_take(const char *const *directories, size_t count, bool v2, pid_t pid, struct fb_sample *ret_sample);

#endif
