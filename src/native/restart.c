#include "restart.h"

#include <errno.h>
#include <stdio.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "exec_group.h"
#include "exec_spec.h"
#include "launch.h"
#include "request.h"
#include "start.h"
#include "task.h"

#define NOW 1e-9 /* a timer of 0 s would be none */

bool fb_restart_begin(struct fb_supervisor *sup, struct fb_container *container, const struct fb_exit *end)
{
	int wait = 0;

	if (sup->closing)
		return false;
	/* Asked for, it starts at once, and the policy's counts begin anew. */
	if (!container->again)
		wait = container->stopped ? -1 : fb_restart_after(&container->restart, end->code, fb_now() - container->began);
	if (wait < 0)
		return false;
	container->last = *end;
	container->last.restarts = container->restart.count;
	container->wait_ms = wait;
	container->restarting = true;
	container->paused = false;
	(void)fb_live_write(sup, container, 0, NULL);
	return true;
}

void fb_restart_wait(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_cgroup room;
	const struct fb_cgroup *groups;

	fb_exec_spec_forget(sup, container);
	groups = fb_container_groups(container, &room);

	if (groups) {
		const char *paths[FB_CGROUP_MAX];

		for (int i = 0; i < groups->path_count; i++)
			paths[i] = groups->paths[i];
		(void)fb_cgroup_remove(paths, groups->path_count, NULL);
		fb_cgroup_close(&container->cgroup);
		container->grouped = container->exec_apart = container->no_exec_groups = false;
		container->exec_base[0] = '\0';
		container->groups_left = container->groups_most = 0;
		(void)fb_live_write(sup, container, 0, NULL);
	}
	(void)fb_source_timer(sup, &container->restart_timer, container->wait_ms ? container->wait_ms / 1e3 : NOW);
}

void fb_restart_hurry(struct fb_supervisor *sup, struct fb_container *container)
{
	if (container->restarting && container->restart_timer.fd >= 0)
		(void)fb_source_timer(sup, &container->restart_timer, NOW);
}

/* The kernel marks the work directory of a layer that it does not sync, and mounts none that has the mark, since after a crash files may
 * be lost. This one was in use until just now, by the same kernel. */
void fb_restart_forget_volatile(const char *work)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/work/incompat/volatile/dirty", work);
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	(void)rmdir(path);
}

void fb_restart_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_container *container = FB_CONTAINER_OF(source, struct fb_container, restart_timer);
	uint64_t ticks;

	(void)events;
	if (read(source->fd, &ticks, sizeof(ticks)) != (ssize_t)sizeof(ticks))
		return;
	fb_source_close(sup, source);
	if (!container->again && (container->stopped || sup->closing))
		fb_container_stay_ended(sup, container);
	else
		fb_task_relaunch(sup, container);
}
