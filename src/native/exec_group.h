/* The control groups of a container's execs, and the end of an exec with all that it has started.
 *
 * Only an exec that somebody may end as a whole (one that is tied, or has a time limit) has one. A normal end leaves the others of its
 * group alone, as docker does: they go with the container, and the group with the last of them or with the container.
 */
#ifndef FB_EXEC_GROUP_H
#define FB_EXEC_GROUP_H

#include "supervise.h"

/* What the exec's process joins: `room` with a group of its own, where one can be made, else the container's. NULL: the container has none. */
const struct fb_cgroup *fb_exec_group_make(struct fb_supervisor *sup, struct fb_task *task, struct fb_cgroup *room);
/* After the clone, failed or not: close what only the clone needed. */
void fb_exec_group_made(struct fb_task *task);
/* SIGKILL to all of it; without a group of its own, to its process only. */
void fb_exec_kill(struct fb_task *task);
/* Once reaped: when it was killed and some of it are still on their way out, they are waited for, and then fb_task_output_ended is called. */
void fb_exec_await_empty(struct fb_supervisor *sup, struct fb_task *task);
/* The exec has ended: keep the group for the next, remove it, or leave it to the container's release when others live on in it. */
void fb_exec_group_end(struct fb_supervisor *sup, struct fb_task *task);
/* Remove it; false when something is in it. */
bool fb_exec_group_drop(struct fb_exec_group *group);
/* From the group where it counts, else from what the kernel said of the process and the children that it waited for. */
void fb_exec_account(struct fb_task *task, const struct rusage *usage);
/* All groups that the container has, for its records and its end; `room` is used when there are more than its own. */
const struct fb_cgroup *fb_container_groups(const struct fb_container *container, struct fb_cgroup *room);

#endif
