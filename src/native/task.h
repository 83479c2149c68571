/* The life of a container and of its execs: launch, signals, end. */
#ifndef FB_TASK_H
#define FB_TASK_H

#include "request.h"
#include "supervise.h"

/* On failure the container's exit record is written (or its directory thrown away) and nothing of it is held; *ret_exit is 125, 126 or 127. */
int fb_task_launch(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		   struct fb_task **ret_task, int *ret_exit, struct fb_error *err);
int fb_task_exec(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation,
		 struct fb_task **ret_task, int *ret_exit, struct fb_error *err);
/* The client's descriptors become taps and an input of a task that pumps its streams. */
int fb_task_attach(struct fb_supervisor *sup, struct fb_task *task, struct fb_request *request,
		   struct fb_conversation *conversation, struct fb_error *err);
int fb_task_signal(struct fb_task *task, int signal, struct fb_error *err);
/* The signal now, SIGKILL in `timeout` seconds; less than 0: never. */
int fb_task_stop(struct fb_supervisor *sup, struct fb_task *task, int signal, double timeout, struct fb_error *err);
/* SIGKILL to all that a container has, when it shares its pid namespace too. */
void fb_task_kill_all(struct fb_container *container);

/* A container that waits to be started again starts now, or ends as it does when a start fails. */
void fb_task_relaunch(struct fb_supervisor *sup, struct fb_container *container);
/* A container that waits to be started again does not: its record, the clients, the release. */
void fb_container_stay_ended(struct fb_supervisor *sup, struct fb_container *container);

void fb_task_init(struct fb_task *task, struct fb_container *container, unsigned exec);
/* A container that never ran: its record says why, and what it held is released. */
void fb_container_failed(struct fb_supervisor *sup, struct fb_container *container, int code,
			 const struct fb_error *error);
struct fb_container *fb_container_find(struct fb_supervisor *sup, const char *id);
unsigned fb_container_count(const struct fb_supervisor *sup);
/* `exec` NULL or "": the container's own task. */
struct fb_task *fb_task_find(struct fb_container *container, const char *exec);
void fb_task_output_ended(struct fb_supervisor *sup, struct fb_task *task);

#endif
