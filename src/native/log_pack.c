/* Rotated files are compressed by a process of its own (containers/logpack.py), so that no container waits for it.
 *
 * One at a time: it holds a lock on PATH.pack, takes file after file, and puts each in place while it holds the lock on PATH that rotate()
 * holds, too. Its last look for more, and the end of PATH.pack, lie within that lock: whoever finds PATH.pack locked has not come too late.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "cleanup.h"
#include "detached.h"
#include "log_driver.h"

int fb_log_pack_open(struct fb_log *log, const struct fb_log_spec *spec)
{
	if (!spec->pack.count)
		return 0;
	log->pack = calloc(spec->pack.count + 2, sizeof(*log->pack));
	for (size_t i = 0; log->pack && i < spec->pack.count; i++)
		if (!(log->pack[i] = strdup(spec->pack.items[i])))
			return -ENOMEM;
	if (!log->pack || !(log->pack[spec->pack.count] = strdup(spec->path)))
		return -ENOMEM;
	return 0;
}

void fb_log_pack_free(struct fb_log *log)
{
	for (char **word = log->pack; word && *word; word++)
		free(*word);
	free(log->pack);
	log->pack = NULL;
}

static bool is_running(const struct fb_log *log)
{
	char path[PATH_MAX];
	fb_auto_close int fd = -1;

	snprintf(path, sizeof(path), "%s.pack", log->path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

void fb_log_pack_start(struct fb_log *log)
{
	if (!is_running(log))
		(void)fb_spawn_detached(log->pack, NULL, 0);
}
