#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "thread.h"

/* Bounds the descriptors that jobs hold. */
#define QUEUE_MAX 64
/* Waking a thread costs as much as writing a small file: not before there is work for a while. */
#define QUEUE_WAKE 8
#define THREADS_MAX 16

struct fb_pool {
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct fb_job *first, **last;
	unsigned queued, running, sleeping;
	bool ending;
	unsigned thread_count;
	pthread_t threads[THREADS_MAX];
};

/* Both with the lock held. */
static struct fb_job *take(struct fb_pool *pool)
{
	struct fb_job *job = pool->first;

	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->queued--;
	return job;
}

static void run_one(struct fb_pool *pool)
{
	struct fb_job *job = take(pool);

	pool->running++;
	pthread_mutex_unlock(&pool->lock);
	job->run(job);
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	if (pool->running == 0 && pool->queued == 0)
		pthread_cond_broadcast(&pool->idle);
}

static void *work(void *argument)
{
	struct fb_pool *pool = argument;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		if (pool->queued) {
			run_one(pool);
			continue;
		}
		if (pool->ending)
			break;
		pool->sleeping++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->sleeping--;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

void fb_pool_submit(struct fb_pool *pool, struct fb_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pool->queued++;
	if (pool->sleeping && pool->queued >= QUEUE_WAKE)
		pthread_cond_signal(&pool->work);
	while (pool->queued > QUEUE_MAX)
		run_one(pool);
	pthread_mutex_unlock(&pool->lock);
}

void fb_pool_wake(struct fb_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

bool fb_pool_help(struct fb_pool *pool)
{
	bool found;

	pthread_mutex_lock(&pool->lock);
	found = pool->queued > 0;
	if (found)
		run_one(pool);
	pthread_mutex_unlock(&pool->lock);
	return found;
}

void fb_pool_drain(struct fb_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->queued)
		run_one(pool);
	while (pool->running)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

int fb_pool_open(unsigned threads, struct fb_pool **ret_pool, struct fb_error *err)
{
	struct fb_pool *pool = calloc(1, sizeof(*pool));
	int r = 0;

	if (!pool)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "calloc", NULL, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->last = &pool->first;
	while (r == 0 && pool->thread_count < threads && pool->thread_count < THREADS_MAX) {
		r = fb_thread_start(&pool->threads[pool->thread_count], work, pool);
		if (r == 0)
			pool->thread_count++;
		else
			r = FB_FAIL_CODE(err, FB_STAGE_TAR, r, "pthread_create", NULL, NULL);
	}
	if (r < 0)
		fb_pool_close(pool);
	else
		*ret_pool = pool;
	return r;
}

void fb_pool_close(struct fb_pool *pool)
{
	if (!pool)
		return;
	fb_pool_drain(pool);
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
