#include "meet.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cleanup.h"
#include "hook.h"
#include "io.h"

static int make_file(struct fb_plan *plan, const char *name, int *ret_fd, struct fb_error *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_HOOK, "memfd_create", name);
	fd = fb_plan_keep(plan, fd, err);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int connect_listener(struct fb_plan *plan, struct fb_error *err)
{
	const char *path = plan->spec->seccomp->listener_path;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_SECCOMP, "socket", NULL);
	if ((plan->listener = fb_plan_keep(plan, fd, err)) < 0)
		return plan->listener;
	if (strlen(path) >= sizeof(address.sun_path))
		return FB_FAIL_CODE(err, FB_STAGE_SECCOMP, ENAMETOOLONG, "connect", path, NULL);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_SECCOMP, errno, "connect", path, "the seccomp listener does not answer");
	plan->listener_text = fb_arena_alloc(&plan->arena, FB_LISTENER_TEXT + FB_LISTENER_STACK);
	return plan->listener_text ? make_file(plan, "seccomp-state", &plan->listener_state, err) : fb_plan_no_memory(err);
}

int fb_meet_open(struct fb_plan *plan, struct fb_error *err)
{
	int r = 0;

	plan->state = plan->listener = plan->listener_state = -1;
	if (!plan->request->process && plan->request->id)
		for (int kind = FB_HOOK_PRESTART; kind <= FB_HOOK_START_CONTAINER; kind++)
			plan->has_hooks |= plan->spec->hooks[kind].count > 0;
	if (plan->has_hooks)
		r = make_file(plan, "state", &plan->state, err);
	if (r == 0 && plan->filter.length && plan->filter.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		r = connect_listener(plan, err);
	plan->own_memory |= plan->has_hooks || plan->listener >= 0 || plan->request->wait_for_start;
	return r;
}

static int rewrite(int fd, const char *text, struct fb_error *err)
{
	int r = !text ? -ENOMEM : ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -errno : fb_write_all(fd, text, strlen(text));

	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_HOOK, -r, "write", "state", NULL) : 0;
}

/* ContainerProcessState of the specification: whose filter the descriptor belongs to. */
static int write_listener_state(const struct fb_plan *plan, const char *state, pid_t pid, struct fb_error *err)
{
	const char *metadata = plan->spec->seccomp->listener_metadata;
	struct json_object *all = json_object_new_object(), *fds = json_object_new_array();
	int r;

	if (!all || !fds)
		return fb_plan_no_memory(err);
	json_object_object_add(all, "ociVersion", json_object_new_string(plan->spec->oci_version));
	json_object_array_add(fds, json_object_new_string("seccompFd"));
	json_object_object_add(all, "fds", fds);
	json_object_object_add(all, "pid", json_object_new_int(pid));
	if (metadata)
		json_object_object_add(all, "metadata", json_object_new_string(metadata));
	json_object_object_add(all, "state", json_tokener_parse(state));
	r = rewrite(plan->listener_state, json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN), err);
	json_object_put(all);
	return r;
}

static int write_states(const struct fb_plan *plan, const char *status, pid_t pid, struct fb_error *err)
{
	const struct fb_launch_request *request = plan->request;
	fb_auto_free char *text = NULL;
	int r = 0;

	if (plan->state < 0 && plan->listener < 0)
		return 0;
	text = fb_hook_state(plan->spec, request->id ? request->id : "", request->bundle ? request->bundle : "",
			     request->process ? "running" : status, request->process ? request->target_pid : pid);
	if (!text)
		return fb_plan_no_memory(err);
	if (plan->state >= 0)
		r = rewrite(plan->state, text, err);
	return r == 0 && plan->listener >= 0 ? write_listener_state(plan, text, pid, err) : r;
}

static int answer(const struct fb_plan *plan, char point, const struct fb_launched *launched, struct fb_error *err)
{
	const struct fb_launch_request *request = plan->request;
	const struct fb_hooks *hooks = plan->spec->hooks;
	int r = write_states(plan, point == FB_MEET_HOOKS ? "creating" : "created", launched->pid, err);

	if (r == 0 && point == FB_MEET_HOOKS)
		r = fb_hook_run(&hooks[FB_HOOK_PRESTART], plan->state, err);
	if (r == 0 && point == FB_MEET_HOOKS)
		r = fb_hook_run(&hooks[FB_HOOK_CREATE_RUNTIME], plan->state, err);
	if (r == 0 && point == FB_MEET_CREATED && request->created)
		r = request->created(request->context, launched, err);
	return r;
}

/* One byte, with which a pty's master may come. 0: the other end is closed, by exec or by death; less: a failure. */
static int receive(int socket, int *console, struct fb_error *err)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ECONNRESET) /* it died with an answer of ours unread */
		return 0;
	if (n < 0)
		return FB_FAIL(err, FB_STAGE_CLONE, "recvmsg", "socketpair");
	/* The kernel drops a descriptor that finds no room here, and says so by nothing else. */
	if (message.msg_flags & MSG_CTRUNC)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, EMFILE, "recvmsg", "console", NULL);
	if (n == 0)
		return 0;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		fb_cleanup_fd(console);
		memcpy(console, CMSG_DATA(header), sizeof(int));
	}
	return byte;
}

int fb_meet(const struct fb_plan *plan, int socket, struct fb_launched *launched, struct fb_error *err)
{
	int byte, r;

	while ((byte = receive(socket, &launched->console, err)) > 0) {
		if (byte != FB_MEET_HOOKS && byte != FB_MEET_CREATED)
			continue;
		r = answer(plan, (char)byte, launched, err);
		/* A child that failed meanwhile has left its error where the caller looks; its end is the next thing received. */
		if (r == 0 && send(socket, "g", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE)
			r = FB_FAIL(err, FB_STAGE_CLONE, "send", "socketpair");
		if (r < 0)
			return r;
	}
	return byte;
}
