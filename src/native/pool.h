/* Threads that run jobs, in any order. Jobs are small and many: a submitter is never made to wait for a thread that is free, and runs
 * a job itself when the queue is full.
 */
#ifndef FB_POOL_H
#define FB_POOL_H

#include <stdbool.h>

#include "error.h"

struct fb_job {
	void (*run)(struct fb_job *job); /* owns the job from here on */
	struct fb_job *next;
};

struct fb_pool;

int fb_pool_open(unsigned threads, struct fb_pool **ret_pool, struct fb_error *err);
/* From one thread at a time. */
void fb_pool_submit(struct fb_pool *pool, struct fb_job *job);
/* Every thread that sleeps is to work: nothing more will come, and what waits is too little to wake one by itself, but heavy. */
void fb_pool_wake(struct fb_pool *pool);
/* Run one job here. False: none waits. */
bool fb_pool_help(struct fb_pool *pool);
/* Until every job has run. */
void fb_pool_drain(struct fb_pool *pool);
/* Drains first. */
void fb_pool_close(struct fb_pool *pool);

#endif
