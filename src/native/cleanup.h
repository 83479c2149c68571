/* Cleanup attributes: what a scope acquires, it releases, on every way out. */
#ifndef FB_CLEANUP_H
#define FB_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fb_cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
		*fd = -1;
	}
}

static inline void fb_cleanup_free(void *pointer)
{
	free(*(void **)pointer);
	*(void **)pointer = NULL;
}

static inline void fb_cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
	*dir = NULL;
}

static inline int fb_steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define fb_auto_close __attribute__((cleanup(fb_cleanup_fd)))
#define fb_auto_free __attribute__((cleanup(fb_cleanup_free)))
#define fb_auto_dir __attribute__((cleanup(fb_cleanup_dir)))

#endif
