/* The engine's layers as the root of a container with a user namespace: each id-mapped (overlayfs takes such layers from 5.19 on), so that
 * nothing is copied to change its owner, and what the container writes lies in its upper as the ids that the image means.
 *
 * The overlay is mounted with the caller's rights: made inside the user namespace it could not read the whiteouts and opaque marks of the
 * layers. A process with a mount namespace of its own does it, as a layer has to lie somewhere to be found (a detached mount is no layer
 * before 6.15): over itself, where only that process sees it.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "child.h"
#include "cleanup.h"
#include "idmap.h"
#include "sys.h"
#include "userns.h"

static int fail(struct fb_error *err, const char *call, const char *path)
{
	return FB_FAIL(err, FB_STAGE_ROOTFS, call, path);
}

/* Upper and work have to be of one mount: of the directory that holds both. */
static const char *find_parent(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_engine_spec *engine = &plan->spec->engine;
	const char *slash = strrchr(engine->upper, '/'), *other = strrchr(engine->work, '/');
	size_t length = slash ? (size_t)(slash - engine->upper) : 0;
	const char *parent = NULL;

	if (length && other && (size_t)(other - engine->work) == length && memcmp(engine->upper, engine->work, length) == 0) {
		parent = fb_arena_printf(&plan->arena, "%.*s", (int)length, engine->upper);
		if (!parent)
			fb_plan_no_memory(err);
	} else {
		FB_FAIL_CODE(err, FB_STAGE_ROOTFS, EINVAL, "config", ".fastbox.overlay.work",
			     "has to lie beside upper for a user namespace");
	}
	return parent;
}

/* Where no other process sees it. First all clones, then their places, the outermost first: one may lie in another. */
static int cover_layers(const struct fb_engine_spec *engine, const char *parent, int ns, int *fds, struct fb_error *err)
{
	size_t count = engine->lower.count, first = parent ? 0 : 1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail(err, "mount(MS_PRIVATE)", "/");
	for (size_t i = first; i <= count; i++)
		if ((fds[i] = fb_idmap_clone(i ? engine->lower.items[i - 1] : parent, 0, 0, ns, 0, err)) < 0)
			return fds[i];
	for (size_t i = first; i <= count; i++) {
		const char *path = i ? engine->lower.items[i - 1] : parent;

		if (move_mount(fds[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return fail(err, "move_mount", path);
	}
	return 0;
}

/* Overlayfs makes its own files as who mounts it, and through an id-mapped mount there is no root of the host: the owner of the upper, as
 * it is seen there, makes them instead, with every right of ours. */
static int become_owner(const char *upper, struct fb_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	struct stat st;

	if (stat(upper, &st) < 0)
		return fail(err, "stat", upper);
	syscall(SYS_setfsgid, st.st_gid);
	syscall(SYS_setfsuid, st.st_uid);
	if (syscall(SYS_capget, &header, data) < 0)
		return fail(err, "capget", NULL);
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	return fb_capset(&header, data) < 0 ? fail(err, "capset", NULL) : 0;
}

static int send_descriptor(int to, int fd, struct fb_error *err)
{
	char byte = 'r', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(to, &message, MSG_NOSIGNAL) == 1 ? 0 : fail(err, "sendmsg", NULL);
}

static int receive_descriptor(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 && (header = CMSG_FIRSTHDR(&message)) &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

struct maker {
	struct fb_plan *plan;
	const struct fb_op *op;
	const char *parent; /* NULL: no upper */
	int ns, socket, *fds;
	struct fb_child_result *result;
};

static int make(const struct maker *maker)
{
	const struct fb_engine_spec *engine = &maker->plan->spec->engine;
	struct fb_error *err = &maker->result->error;
	struct fb_child child = {.plan = maker->plan, .result = maker->result, .socket = -1, .root = -1};
	int r = cover_layers(engine, maker->parent, maker->ns, maker->fds, err);

	if (r == 0 && maker->parent)
		r = become_owner(engine->upper, err);
	if (r < 0)
		return r;
	r = fb_op_root_overlay(&child, maker->op);
	if (r == -EINVAL && !*err->detail)
		return FB_FAIL_CODE(err, FB_STAGE_ROOTFS, EINVAL, "mount(overlay)", maker->op->path,
				    "an overlay of id-mapped layers needs Linux 5.19");
	if (r < 0)
		return r;
	r = fb_mount_clone(&child, child.root, "", false);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_ROOTFS, -r, "open_tree", maker->op->path, NULL) :
		       send_descriptor(maker->socket, r, err);
}

/* Everything that the process leaves open ends with it. */
static int have_made(struct maker *maker, struct fb_error *err)
{
	sigset_t all, before;
	int sockets[2], fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return fail(err, "socketpair", NULL);
	maker->socket = sockets[1];
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fb_copy(CLONE_NEWNS);
	if (pid == 0) {
		make(maker);
		_exit(0);
	}
	fd = pid < 0 ? fail(err, "clone(CLONE_NEWNS)", NULL) : 0;
	if (pid > 0) {
		fb_copy_wait(pid);
		fd = receive_descriptor(sockets[0]);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(sockets[0]);
	close(sockets[1]);
	if (pid < 0 || fd >= 0)
		return fd;
	if (!maker->result->error.code)
		return FB_FAIL_CODE(err, FB_STAGE_ROOTFS, EINTR, "clone", "", "the mounting process was killed");
	*err = maker->result->error;
	return -err->code;
}

static int make_overlay(struct fb_plan *plan, const struct fb_op *op, int ns, struct fb_error *err)
{
	struct maker maker = {.plan = plan, .op = op, .ns = ns};
	int r;

	if (plan->spec->engine.upper && !(maker.parent = find_parent(plan, err)))
		return -err->code;
	maker.fds = fb_arena_alloc(&plan->arena, (plan->spec->engine.lower.count + 1) * sizeof(int));
	if (!maker.fds)
		return fb_plan_no_memory(err);
	maker.result = mmap(NULL, sizeof(*maker.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (maker.result == MAP_FAILED)
		return fb_plan_no_memory(err);
	r = have_made(&maker, err);
	munmap(maker.result, sizeof(*maker.result));
	return r;
}

int fb_plan_mapped_root(struct fb_plan *plan, const struct fb_op *op, struct fb_error *err)
{
	const struct fb_engine_spec *engine = &plan->spec->engine;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int ns = fb_idmap_own_namespace(plan, err), fd;

	if (ns < 0)
		return ns;
	if (engine->lower.count > 1 || engine->upper)
		fd = make_overlay(plan, op, ns, err);
	else
		fd = fb_idmap_clone(engine->lower.items[0], 0, 0, ns, MS_PRIVATE, err);
	if (fd < 0 || (fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	if (op->flags && mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return fail(err, "mount_setattr", op->path);
	return fd;
}
