#include "share.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pool.h"
#include "thread.h"

#define STRETCH_MAX 32

struct fb_share {
	size_t count;
	unsigned threads;
	void (*work)(struct fb_share *share, void *context);
	void *context;
	_Atomic size_t next;
	_Atomic bool failed;
	pthread_mutex_t lock;
	/* With the lock held: */
	size_t failed_at;
	struct fb_error error;
};

struct worker {
	struct fb_job job;
	struct fb_share *share;
};

bool fb_share_take(struct fb_share *share, size_t *ret_from, size_t *ret_to)
{
	size_t from = share->next, length;

	do {
		if (share->failed || from >= share->count)
			return false;
		length = (share->count - from) / ((size_t)share->threads * 8);
		length = length < 1 ? 1 : length > STRETCH_MAX ? STRETCH_MAX : length;
	} while (!atomic_compare_exchange_weak(&share->next, &from, from + length));
	*ret_from = from;
	*ret_to = from + length;
	return true;
}

void fb_share_fail(struct fb_share *share, size_t index, const struct fb_error *err)
{
	pthread_mutex_lock(&share->lock);
	if (!share->failed || index < share->failed_at) {
		share->failed_at = index;
		share->error = *err;
	}
	share->failed = true;
	pthread_mutex_unlock(&share->lock);
}

static void run_worker(struct fb_job *job)
{
	struct fb_share *share = ((struct worker *)job)->share;

	share->work(share, share->context);
}

static unsigned count_threads(size_t count, unsigned threads)
{
	if (threads == 0)
		threads = fb_processors();
	if (threads > FB_SHARE_THREADS_MAX)
		threads = FB_SHARE_THREADS_MAX;
	return count < threads ? (unsigned)count : threads;
}

int fb_share_run(size_t count, unsigned threads, void (*work)(struct fb_share *share, void *context), void *context,
		 struct fb_error *err)
{
	struct fb_share share = {
		.count = count,
		.threads = count_threads(count, threads),
		.work = work,
		.context = context,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct worker workers[FB_SHARE_THREADS_MAX];
	struct fb_pool *pool = NULL;

	if (count == 0)
		return 0;
	/* Where no thread may be started any more, one does it all. */
	if (share.threads < 2 || fb_pool_open(share.threads - 1, &pool, NULL) < 0) {
		work(&share, context);
	} else {
		for (unsigned i = 0; i < share.threads; i++) {
			workers[i] = (struct worker){.job.run = run_worker, .share = &share};
			fb_pool_submit(pool, &workers[i].job);
		}
		fb_pool_wake(pool);
		fb_pool_close(pool);
	}
	if (!share.failed)
		return 0;
	*err = share.error;
	return -share.error.code;
}
