#include "exec_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cleanup.h"
#include "start.h"
#include "task.h"

#define LEFT_MIN 16 /* groups with processes, before those that have become empty are looked for */

const struct fb_cgroup *fb_container_groups(const struct fb_container *container, struct fb_cgroup *room)
{
	if (!container->grouped || !container->exec_apart || container->cgroup.path_count == FB_CGROUP_MAX)
		return container->grouped ? &container->cgroup : NULL;
	*room = container->cgroup;
	snprintf(room->paths[room->path_count], sizeof(room->paths[0]), "%s", container->exec_base);
	room->controllers[room->path_count++] = fb_cgroup_controller("unified");
	return room;
}

/* Once for a container. What is not below its own groups is in its live state before it is used, so that a healer finds it. */
static bool find_base(struct fb_supervisor *sup, struct fb_container *container)
{
	int r;

	if (container->exec_base[0])
		return true;
	if (container->no_exec_groups || !container->grouped)
		return false;
	r = fb_cgroup_child_base(&container->cgroup, container->exec_base, sizeof(container->exec_base));
	if (r > 0) {
		container->exec_apart = true;
		r = fb_live_write(sup, container, container->task.pid, NULL);
	}
	if (r < 0) {
		if (container->exec_apart)
			(void)rmdir(container->exec_base);
		container->exec_apart = false;
		container->exec_base[0] = '\0';
		container->no_exec_groups = true;
	}
	return r == 0;
}

bool fb_exec_group_drop(struct fb_exec_group *group)
{
	bool gone;

	if (!group->path[0])
		return true;
	fb_cleanup_fd(&group->fd);
	fb_cleanup_fd(&group->events);
	fb_cleanup_fd(&group->stat);
	gone = rmdir(group->path) == 0 || errno == ENOENT;
	group->path[0] = '\0';
	return gone;
}

/* The one that the exec before it has left. It is looked at once more: a container that may write to its groups could have put something in. */
static bool take_kept(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_exec_group *kept = fb_exec_spec_group(sup, task->container);

	if (!kept || !kept->path[0])
		return false;
	if (!fb_cgroup_child_idle(kept->events)) {
		(void)fb_exec_group_drop(kept);
		return false;
	}
	task->group = *kept;
	kept->path[0] = '\0';
	return true;
}

const struct fb_cgroup *fb_exec_group_make(struct fb_supervisor *sup, struct fb_task *task, struct fb_cgroup *room)
{
	struct fb_container *container = task->container;
	const struct fb_cgroup *own = container->grouped ? &container->cgroup : NULL;
	struct fb_exec_group *group = &task->group;
	int n, fd = -1;

	if (!(task->tied || task->limited) || !find_base(sup, container))
		return own;
	if (take_kept(sup, task)) {
		*room = *own;
		room->into = group->fd;
		return room;
	}
	n = snprintf(group->path, sizeof(group->path), "%s/exec-%u", container->exec_base, task->exec);
	if (n < (int)sizeof(group->path))
		fd = fb_cgroup_child_make(own, group->path, room);
	group->fd = fd < 0 ? -1 : fd;
	group->v2 = fd >= 0 && room->into == fd;
	if (fd < 0)
		group->path[0] = '\0';
	return fd < 0 ? own : room;
}

void fb_exec_group_made(struct fb_task *task)
{
	if (!task->group.v2)
		fb_cleanup_fd(&task->group.fd);
}

void fb_exec_kill(struct fb_task *task)
{
	task->killed = true;
	if (task->group.path[0])
		(void)fb_cgroup_child_kill(task->group.path);
	/* By itself too: it may have been able to leave the group. */
	if (!task->reaped)
		(void)kill(task->pid, SIGKILL);
}

static void dying_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_task *task = FB_CONTAINER_OF(source, struct fb_task, dying);

	(void)events;
	if (fb_cgroup_child_populated(source->fd))
		return;
	fb_source_close(sup, source);
	fb_task_output_ended(sup, task);
}

void fb_exec_await_empty(struct fb_supervisor *sup, struct fb_task *task)
{
	if (!task->killed || !task->group.path[0])
		return;
	task->dying = (struct fb_source){.fd = fb_cgroup_child_watch(task->group.path), .ready = dying_ready};
	/* What changes after this look is reported. */
	if (task->dying.fd < 0 || !fb_cgroup_child_populated(task->dying.fd) ||
	    fb_source_watch(sup, &task->dying, EPOLLPRI) < 0)
		fb_source_close(sup, &task->dying);
}

/* Those whose last process has ended since. The others stay, and their number says when it is worth to look again. */
static void sweep(struct fb_container *container)
{
	fb_auto_dir DIR *dir = opendir(container->exec_base);
	struct dirent *item;
	unsigned left = 0;

	while (dir && (item = readdir(dir)))
		if (strncmp(item->d_name, "exec-", 5) == 0)
			left += unlinkat(dirfd(dir), item->d_name, AT_REMOVEDIR) < 0;
	container->groups_left = left;
	container->groups_most = 2 * left > LEFT_MIN ? 2 * left : LEFT_MIN;
}

/* Only of one that has ended by itself, so that a group is never needed twice at a time. */
static bool keep(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_exec_group *group = &task->group, *kept = fb_exec_spec_group(sup, task->container);

	if (!group->v2 || !task->reaped || task->killed || !kept || kept->path[0])
		return false;
	if (group->events < 0)
		group->events = openat(group->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (!fb_cgroup_child_idle(group->events))
		return false;
	*kept = *group;
	group->path[0] = '\0';
	group->fd = group->events = group->stat = -1;
	return true;
}

void fb_exec_group_end(struct fb_supervisor *sup, struct fb_task *task)
{
	struct fb_container *container = task->container;

	fb_source_close(sup, &task->dying);
	if (keep(sup, task) || fb_exec_group_drop(&task->group))
		return;
	if (++container->groups_left > (container->groups_most ? container->groups_most : LEFT_MIN))
		sweep(container);
}

void fb_exec_account(struct fb_task *task, const struct rusage *usage)
{
	struct fb_exec_group *group = &task->group;
	int64_t cpu = -1;

	if (group->v2 && group->stat < 0)
		group->stat = openat(group->fd, "cpu.stat", O_RDONLY | O_CLOEXEC);
	if (group->v2)
		cpu = fb_cgroup_child_cpu(group->stat);
	task->cpu = cpu - group->used;
	group->used = cpu;
	if (cpu < 0)
		task->cpu = (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * INT64_C(1000000) + usage->ru_utime.tv_usec +
			    usage->ru_stime.tv_usec;
	task->memory = (int64_t)usage->ru_maxrss * 1024;
}
