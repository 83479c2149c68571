/* A thread of ours within somebody else's process: signals stay with the threads that were there before. */
#ifndef FB_THREAD_H
#define FB_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "error.h"

static inline int fb_thread_start(pthread_t *ret_thread, void *(*run)(void *), void *argument,
				  struct fb_error *err)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code ? FB_FAIL_CODE(err, FB_STAGE_TAR, code, "pthread_create", NULL, NULL) : 0;
}

#endif
