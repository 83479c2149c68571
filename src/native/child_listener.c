/* A seccomp filter with a listener (SCMP_ACT_NOTIFY): its descriptor has to reach the agent, and once the filter is on, the process that has it may
 * be stopped by any call that it makes. A thread without the filter sends it; the process itself waits in memory, by no call at all. Threads do not
 * survive exec, so nothing of it is left. */
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "child.h"
#include "sys.h"

#define PATIENCE 200000 /* naps of 50 us: ten seconds */

struct courier {
	int socket, state;
	char *text; /* FB_LISTENER_TEXT bytes */
	_Atomic int listener; /* -1: not yet */
	_Atomic int result; /* 1: not yet; 0 or -errno */
};

static int deliver(struct courier *courier, int listener)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	ssize_t length = pread(courier->state, courier->text, FB_LISTENER_TEXT, 0);
	struct iovec data = {courier->text, length > 0 ? (size_t)length : 0};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (length <= 0)
		return length < 0 ? -errno : -EIO;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &listener, sizeof(int));
	return sendmsg(courier->socket, &message, MSG_NOSIGNAL) == length ? 0 : -errno;
}

static int courier_main(void *argument)
{
	struct courier *courier = argument;
	const struct timespec nap = {0, 50000};

	for (int i = 0; i < PATIENCE && courier->listener == -1; i++)
		syscall(SYS_nanosleep, &nap, NULL);
	courier->result = courier->listener >= 0 ? deliver(courier, courier->listener) : -ETIMEDOUT;
	return 0;
}

int fb_child_listen(struct fb_child *child, const struct fb_op *op, const void *program)
{
	const struct fb_plan *plan = child->plan;
	struct courier courier = {.socket = plan->listener, .state = plan->listener_state, .text = plan->listener_text,
				  .listener = -1, .result = 1};
	char *stack = plan->listener_text + FB_LISTENER_TEXT + FB_LISTENER_STACK;
	long fd;

	if (clone(courier_main, stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		  &courier) < 0)
		return FB_CHILD_FAIL(child, op, "clone");
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, plan->filter.flags & ~(unsigned long)SECCOMP_FILTER_FLAG_TSYNC,
		     program);
	if (fd < 0)
		return FB_CHILD_FAIL(child, op, "seccomp");
	courier.listener = (int)fd;
	while (courier.result == 1)
		;
	if (courier.result < 0)
		return FB_CHILD_FAIL_CODE(child, op, -courier.result, "sendmsg(seccomp listener)", NULL);
	return 0;
}
