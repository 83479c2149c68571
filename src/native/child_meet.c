/* The points at which a start stands still: for what the parent has to do, for `start`, and for hooks. Only in a clone with memory of its own. */
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "child.h"
#include "cleanup.h"
#include "hook.h"
#include "sys.h"

int fb_op_meet(struct fb_child *child, const struct fb_op *op)
{
	char byte = (char)op->number;
	ssize_t n;

	if (write(child->socket, &byte, 1) != 1)
		return FB_CHILD_FAIL(child, op, "write(socketpair)");
	do
		n = read(child->socket, &byte, 1);
	while (n < 0 && errno == EINTR);
	/* The parent says nothing when it failed, and reports that itself. */
	return n == 1 ? 0 : FB_CHILD_FAIL_CODE(child, op, ECANCELED, "read", "the parent gave up");
}

int fb_op_hooks(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_plan *plan = child->plan;
	const struct fb_hooks *hooks = &plan->spec->hooks[op->number];

	/* Before the pivot a hook finds itself in the root that it is to prepare. */
	if (op->number == FB_HOOK_CREATE_CONTAINER && fchdir(child->root) < 0)
		return FB_CHILD_FAIL(child, op, "fchdir");
	return fb_hook_run(hooks, plan->state, &child->result->error);
}

/* A command that is not there has to be known at `create`, when its caller can still say so. */
int fb_op_find_command(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_plan *plan = child->plan;
	int code = ENOENT;

	for (char *const *name = plan->candidates; *name; name++) {
		struct stat st;

		if (faccessat(AT_FDCWD, *name, X_OK, 0) == 0 && fstatat(AT_FDCWD, *name, &st, 0) == 0) {
			if (S_ISREG(st.st_mode))
				return 0;
			code = EACCES;
		} else if ((errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) ||
			   (errno == ENOTDIR && *name == plan->argv[0])) {
			code = errno;
		}
	}
	return FB_FAIL_CODE(&child->result->error, op->stage, code, "execve", plan->argv[0], NULL);
}

int fb_op_await_start(struct fb_child *child, const struct fb_op *op)
{
	int fd;

	child->result->executing = true;
	/* `create` is over now: nobody reads what is said there any more. */
	fb_cleanup_fd(&child->socket);
	do
		fd = accept4(child->plan->request->start_listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return FB_CHILD_FAIL(child, op, "accept4");
	child->start = fd;
	return 0;
}

/* Keys of the caller's session, which a process could otherwise read or use (CVE-2014-9529 and its kin). */
int fb_op_keyring(struct fb_child *child, const struct fb_op *op)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS || errno == EPERM)
		return 0;
	return FB_CHILD_FAIL_CODE(child, op, errno, "keyctl",
				  errno == EDQUOT ? "no session keyring is left for this user (kernel.keys.maxkeys)" : NULL);
}
