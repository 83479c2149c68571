/* Threads of ours within somebody else's process: signals stay with the threads that were there before. */
#ifndef FB_THREAD_H
#define FB_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* 0, or the errno of pthread_create. */
static inline int fb_thread_start(pthread_t *ret_thread, void *(*run)(void *), void *argument)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

/* How many processors this process may run on. */
static inline unsigned fb_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

#endif
