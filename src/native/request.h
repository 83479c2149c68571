/* A message of the protocol (ARCHITECTURE.md, "The supervisor's protocol"): parsed, checked, answered. */
#ifndef FB_REQUEST_H
#define FB_REQUEST_H

#include <stdbool.h>

#include "control.h"
#include "launch.h"
#include "supervise.h"

struct json_object;

enum fb_operation {
	FB_OP_LAUNCH,
	FB_OP_EXEC,
	FB_OP_ATTACH,
	FB_OP_RESIZE,
	FB_OP_KILL,
	FB_OP_STOP,
	FB_OP_WAIT,
	FB_OP_SYNC,
	FB_OP_CLOSE,
	FB_OP_DISCARD,
	FB_OP_FREEZE,
	FB_OP_LEASE,
	FB_OP_PAUSE,
	FB_OP_RESTART,
	FB_OP_POLICY,
	FB_OP_UPDATE,
	FB_OP_CONNECT,
	FB_OP_DISCONNECT,
	FB_OP_DNS,
	FB_OP_COUNT
};

struct fb_request {
	enum fb_operation operation;
	struct json_object *root; /* owns every text below */
	const char *resources, *endpoint; /* a JSON object's text */
	const char *dns; /* the same; NULL: none is wanted, if it was given */
	bool dns_given;
	const char *op, *id, *exec, *bundle, *name, *policy;
	int rows, columns, signal, most;
	double timeout;
	bool tied, detach, quiet, timed, frozen, paused;
	unsigned present; /* which members there were */
	int streams[3];	  /* descriptors, -1: not sent */
	int stream_count;
	const char *text; /* exec: the process document, in the message; NULL: in `document` */
	size_t text_length;
	int document;
	struct fb_stage_clocks clocks[3]; /* the supervisor's before the launch, the launch's, the supervisor's after it */
};

int fb_request_parse(const char *text, size_t length, int *fds, size_t fd_count, struct fb_request *ret_request,
		     struct fb_error *err);
/* Closes the descriptors nobody took (who takes one sets it to -1). */
void fb_request_free(struct fb_request *request);

/* Read one message of a conversation and answer it. */
void fb_request_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events);
void fb_request_send_exit(struct fb_supervisor *sup, struct fb_conversation *conversation, const struct fb_task *task);
/* Tell those who asked for it that a container has started again, or why it has not. */
void fb_request_send_start(struct fb_supervisor *sup, struct fb_container *container, int exit_code,
			   const struct fb_error *error);
/* The container is gone: so is what they wait for. */
void fb_request_not_started(struct fb_supervisor *sup, struct fb_container *container);
/* Answer those who sync, when nothing is left to release. */
void fb_request_answer_sync(struct fb_supervisor *sup);

#endif
