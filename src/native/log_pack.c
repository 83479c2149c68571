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
#include <unistd.h>

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

/* The lock on PATH.pack, which whoever compresses holds as long as it lives; -1: one has it. */
static int lock_work(const struct fb_log *log)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s.pack", log->path);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* It inherits the lock: no second one is started while it is still on its way. */
void fb_log_pack_start(struct fb_log *log)
{
	fb_auto_close int fd = lock_work(log);

	if (fd >= 0)
		(void)fb_spawn_detached(log->pack, &fd, 1);
}
