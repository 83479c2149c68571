/* What the halves of the floor of a start share, and the floor of an exec with them: the options,
 * and one worker's state, which parent and child both write. */
#ifndef FLOOR_H
#define FLOOR_H

#include <limits.h>
#include <linux/filter.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum stage {
	FILES,
	GROUPS,
	CLONE,
	JOIN,
	NETWORK,
	ROOTFS,
	MOUNT,
	DEV,
	PIVOT,
	SYSCTL,
	MASK,
	HOSTNAME,
	SECCOMP,
	CAPS,
	EXEC,
	RUN,
	RELEASE,
	STAGES
};
struct options {
	const char *lower, *scratch;
	char group[64];
	bool net, read_only, tmpfs_upper, bind, unified;
	/* bind: `lower` is one directory, and the root as it stands, as in an OCI bundle */
	char base[2][PATH_MAX]; /* the parents of the groups: v1 devices and pids, or v2 alone */
	int bases;
	char hierarchy[16]
		      [64]; /* every v1 hierarchy of the host, as the mount option that names it */
	int hierarchies;
	struct sock_fprog filter;
};

struct worker {
	const struct options *options;
	char *stack;
	char directory[PATH_MAX / 2], root[PATH_MAX / 2], overlay[PATH_MAX];
	char group[2][PATH_MAX + 32];
	int tasks[2], into;
	uint64_t begin, at[STAGES];
	const char *failed; /* written by the child, which shares this memory */
	int code;
	atomic_uint *next;
	unsigned count;
	uint64_t (*samples)[STAGES + 1];
	pthread_t thread;
};

static inline uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define AT(stage) (w->at[stage] = now())

/* The process of the container, from clone to exec; the argument is the worker, in memory shared
 * with the parent. */
int floor_child(void *argument);

/* What exec does too. A result below 0 ends the child and is the container's failure. */
void floor_check(struct worker *w, long result, const char *what);
void floor_confine(struct worker *w);
void floor_become_true(struct worker *w);

#endif
