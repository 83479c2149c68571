#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "exec_group.h"
#include "freeze.h"
#include "record.h"
#include "request.h"
#include "restart.h"
#include "streams.h"
#include "task.h"

#define LONELY_SECONDS 30   /* without a launch, nobody will come any more */
#define SHUTDOWN_SECONDS 10 /* between SIGTERM to us and SIGKILL to the containers */

int fb_source_watch(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->registered && source->events == events)
		return 0;
	if (epoll_ctl(sup->epoll, source->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	source->registered = true;
	source->events = events;
	return 0;
}

void fb_source_unwatch(struct fb_supervisor *sup, struct fb_source *source)
{
	if (source->registered)
		(void)epoll_ctl(sup->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->registered = false;
}

void fb_source_close(struct fb_supervisor *sup, struct fb_source *source)
{
	/* Closing alone would not unregister what another descriptor still refers to. */
	fb_source_unwatch(sup, source);
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

int fb_source_timer(struct fb_supervisor *sup, struct fb_source *timer, double seconds)
{
	struct itimerspec when = {0};

	if (seconds > 0) {
		when.it_value.tv_sec = (time_t)seconds;
		when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9) + 1;
		if (when.it_value.tv_nsec > 999999999)
			when.it_value.tv_nsec = 999999999;
	} else if (timer->fd < 0) {
		return 0;
	}
	if (timer->fd < 0)
		timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer->fd < 0 || timerfd_settime(timer->fd, 0, &when, NULL) < 0)
		return -errno;
	return fb_source_watch(sup, timer, EPOLLIN);
}

void fb_conversation_close(struct fb_supervisor *sup, struct fb_conversation *conversation)
{
	struct fb_conversation **at = &sup->conversations;

	while (*at != conversation)
		at = &(*at)->next;
	*at = conversation->next;
	for (int i = 0; i < 2; i++)
		if (conversation->taps[i])
			fb_tap_drop(sup, conversation->taps[i]);
	if (conversation->input)
		fb_input_drop(sup, conversation->input);
	fb_thaw_all(sup, conversation);
	if (conversation->subject && conversation->subject->tied)
		fb_exec_kill(conversation->subject);
	fb_source_close(sup, &conversation->source);
	free(conversation);
}

bool fb_conversation_send(struct fb_supervisor *sup, struct fb_conversation *conversation, const char *text,
			  size_t length)
{
	if (send(conversation->source.fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
		return true;
	fb_conversation_close(sup, conversation);
	return false;
}

static void listener_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct fb_conversation *conversation;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	(void)events;
	if (fd < 0)
		return;
	conversation = calloc(1, sizeof(*conversation));
	/* The directory is 0700 already; this is for a descriptor of the socket's that went astray. */
	if (!conversation || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    peer.uid != geteuid()) {
		free(conversation);
		close(fd);
		return;
	}
	conversation->source = (struct fb_source){.fd = fd, .ready = fb_request_ready};
	conversation->next = sup->conversations;
	sup->conversations = conversation;
	if (fb_source_watch(sup, &conversation->source, EPOLLIN) < 0)
		fb_conversation_close(sup, conversation);
}

static void owner_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	fb_source_close(sup, source);
	if (sup->launched && !sup->tied)
		return;
	sup->closing = true;
	for (struct fb_container *c = sup->containers; c; c = c->next) {
		fb_task_kill_all(c);
		fb_restart_hurry(sup, c);
	}
}

/* SIGTERM, as a host that shuts down sends it to everything: stop all containers, then end. */
static void signals_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	sup->closing = true;
	for (struct fb_container *c = sup->containers; c; c = c->next) {
		if (c->paused)
			(void)fb_pause(sup, c, false, NULL);
		(void)fb_task_stop(sup, &c->task, SIGTERM, SHUTDOWN_SECONDS, NULL);
		fb_restart_hurry(sup, c);
	}
}

static void lonely_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	fb_source_close(sup, source);
	if (!sup->launched)
		sup->closing = true;
}

static void released_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	fb_release_answers(&sup->releaser, false);
	if (events & (EPOLLHUP | EPOLLERR)) {
		/* It was killed; the next release starts another. The descriptor is the releaser's to close. */
		fb_source_unwatch(sup, source);
		source->fd = -1;
		fb_release_end(&sup->releaser);
	}
	fb_request_answer_sync(sup);
}

static bool is_done(const struct fb_supervisor *sup)
{
	if (sup->containers)
		return false;
	/* What a client has not read yet of a container's last words is here, not in the pipe. */
	for (const struct fb_conversation *c = sup->conversations; c; c = c->next)
		if (c->taps[0] || c->taps[1])
			return sup->closing;
	return sup->closing || (sup->launched && !sup->tied);
}

static int add_source(struct fb_supervisor *sup, struct fb_source *source, int fd,
		      void (*ready)(struct fb_supervisor *, struct fb_source *, uint32_t),
		      struct fb_error *err)
{
	*source = (struct fb_source){.fd = fd, .ready = ready};
	if (fd >= 0 && fb_source_watch(sup, source, EPOLLIN) < 0)
		return FB_FAIL(err, FB_STAGE_REQUEST, "epoll_ctl", NULL);
	return 0;
}

static int open_sources(struct fb_supervisor *sup, int listener, int owner, struct fb_error *err)
{
	sigset_t mask;
	int fd, r;

	sup->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sup->epoll < 0)
		return FB_FAIL(err, FB_STAGE_REQUEST, "epoll_create1", NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_REQUEST, "signalfd", NULL);
	r = add_source(sup, &sup->signals, fd, signals_ready, err);
	if (r == 0)
		r = add_source(sup, &sup->listener, listener, listener_ready, err);
	if (r == 0)
		r = add_source(sup, &sup->owner, owner, owner_ready, err);
	sup->lonely = (struct fb_source){.fd = -1, .ready = lonely_ready};
	sup->released = (struct fb_source){.fd = -1, .ready = released_ready};
	/* One that is tied lives as long as its owner, launches or not. */
	if (r == 0 && !sup->tied && fb_source_timer(sup, &sup->lonely, LONELY_SECONDS) < 0)
		r = FB_FAIL(err, FB_STAGE_REQUEST, "timerfd_create", NULL);
	return r;
}

static void raise_file_limit(struct fb_supervisor *sup)
{
	struct rlimit most;

	/* Many containers are many descriptors; launches give the old limit back to the containers (see task.c). */
	if (getrlimit(RLIMIT_NOFILE, &sup->files) == 0) {
		most = (struct rlimit){sup->files.rlim_max, sup->files.rlim_max};
		(void)setrlimit(RLIMIT_NOFILE, &most);
	}
}

static void leave(struct fb_supervisor *sup)
{
	char path[PATH_MAX];

	/* First out of sight, so that nobody connects to what no longer answers; then the cleaning; the end of the process frees the
	 * lock, and that says that nothing is left. */
	snprintf(path, sizeof(path), "%s/supervisors/%s", sup->run, sup->name);
	(void)unlinkat(sup->directory, "sock", 0);
	while (sup->conversations)
		fb_conversation_close(sup, sup->conversations);
	fb_release_end(&sup->releaser);
	(void)rmdir(path);
}

int fb_supervise(struct fb_supervisor *sup, int directory, int listener, int owner, struct fb_error *err)
{
	char path[PATH_MAX];
	int r;

	sup->directory = directory;
	sup->releaser = (struct fb_releaser){.apart = sup->tied, .socket = -1};
	r = open_sources(sup, listener, owner, err);
	if (r < 0)
		return r;
	raise_file_limit(sup);
	if ((r = fb_record_boot_id(sup->boot_id, err)) < 0)
		return r;
	snprintf(path, sizeof(path), "%s/containers", sup->run);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return FB_FAIL(err, FB_STAGE_RECORD, "mkdir", path);
	while (!is_done(sup)) {
		struct epoll_event event;

		/* One event at a time: its handler may free any other source. The kernel rotates those that are ready. */
		if (epoll_wait(sup->epoll, &event, 1, -1) == 1) {
			struct fb_source *source = event.data.ptr;

			source->ready(sup, source, event.events);
		}
		if (sup->releaser.pid && sup->released.fd < 0) {
			sup->released.fd = sup->releaser.socket;
			(void)fb_source_watch(sup, &sup->released, EPOLLIN);
		}
	}
	leave(sup);
	return 0;
}
