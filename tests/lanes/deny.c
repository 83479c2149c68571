/* deny RULE... -- COMMAND...: run a command, and all that comes of it, on a kernel (or below a container's old filter) that refuses.
 *
 * A rule is what is refused and, after a colon, the answer's name (ENOSYS when there is none):
 *   NAME                 a system call
 *   new-user-namespace   clone, unshare and clone3 with CLONE_NEWUSER
 *   clone-into-cgroup    clone3 with CLONE_INTO_CGROUP
 *   cgroup.kill          openat of a file of this name
 * What the last three look at is in memory, which a filter can't read: the filter asks a process of ours, which can. It reads a moment
 * before the kernel does, so it would be no protection, but nothing here tries to deceive it. It ends with the last process below the
 * filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct asked { /* 0: not refused */
	int user_namespace, into_cgroup, cgroup_kill;
};

static void die(const char *what)
{
	fprintf(stderr, "deny: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int number_of_error(const char *name)
{
	for (int code = 1; code < 134; code++)
		if (strerrorname_np(code) && strcmp(strerrorname_np(code), name) == 0)
			return code;
	errno = EINVAL;
	die(name);
	return 0;
}

static void refuse(scmp_filter_ctx filter, const char *name, int code)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number < 0 || seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)code), number, 0) < 0)
		die(name);
}

static void add_rule(scmp_filter_ctx filter, const char *name, int code, struct asked *asked)
{
	struct scmp_arg_cmp with_user = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
	uint32_t answer = SCMP_ACT_ERRNO((unsigned)code);

	if (strcmp(name, "new-user-namespace") == 0) {
		asked->user_namespace = code;
		if (seccomp_rule_add(filter, answer, SCMP_SYS(clone), 1, with_user) < 0 ||
		    seccomp_rule_add(filter, answer, SCMP_SYS(unshare), 1, with_user) < 0)
			die(name);
	} else if (strcmp(name, "clone-into-cgroup") == 0) {
		asked->into_cgroup = code;
	} else if (strcmp(name, "cgroup.kill") == 0) {
		asked->cgroup_kill = code;
	} else {
		refuse(filter, name, code);
	}
}

static void ask(scmp_filter_ctx filter, const struct asked *asked)
{
	if ((asked->user_namespace || asked->into_cgroup) &&
	    seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(clone3), 0) < 0)
		die("clone3");
	if (asked->cgroup_kill && seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(openat), 0) < 0)
		die("openat");
}

static bool peek(pid_t pid, uint64_t address, void *to, size_t size)
{
	struct iovec ours = {to, size}, theirs = {(void *)(uintptr_t)address, size};

	return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)size;
}

static bool ends_with_kill(pid_t pid, uint64_t address)
{
	static const char name[] = "cgroup.kill";
	char path[4096];
	size_t length = 0;

	while (length < sizeof(path) && peek(pid, address + length, path + length, 1) && path[length])
		length++;
	return length >= sizeof(name) - 1 && length < sizeof(path) &&
	       strcmp(path + length - (sizeof(name) - 1), name) == 0;
}

/* The error it is to get, or 0. */
static int judge(const struct seccomp_notif *request, const struct asked *asked)
{
	pid_t pid = (pid_t)request->pid;
	uint64_t flags = 0;

	if (request->data.nr == SYS_openat)
		return ends_with_kill(pid, request->data.args[1]) ? asked->cgroup_kill : 0;
	if (!peek(pid, request->data.args[0], &flags, sizeof(flags)))
		return 0;
	if (asked->user_namespace && flags & CLONE_NEWUSER)
		return asked->user_namespace;
	return asked->into_cgroup && flags & CLONE_INTO_CGROUP ? asked->into_cgroup : 0;
}

static void answer_all(int listener, const struct asked *asked)
{
	struct seccomp_notif *request;
	struct seccomp_notif_resp *response;
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	if (seccomp_notify_alloc(&request, &response) < 0)
		_exit(1);
	while (poll(&ready, 1, -1) >= 0 || errno == EINTR) {
		if (ready.revents & (POLLHUP | POLLERR | POLLNVAL))
			_exit(0);
		memset(request, 0, sizeof(*request));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request) < 0)
			continue;
		response->id = request->id;
		response->val = 0;
		response->error = -judge(request, asked);
		response->flags = response->error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response);
	}
	_exit(1);
}

static int receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void pass(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
		die("sendmsg");
}

/* Nobody's child and without a descriptor of the caller's: who waits for the command must not wait for this. */
static void start_judge(int socket, const struct asked *asked)
{
	int listener;

	if (fork() > 0)
		_exit(0);
	setsid();
	listener = receive(socket);
	if (listener < 0 || dup2(listener, 0) < 0)
		_exit(1);
	closefrom(1);
	answer_all(0, asked);
}

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct asked asked = {0};
	int i = 1, sockets[2];
	bool judged;

	if (!filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) < 0)
		die("seccomp");
	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		char *colon = strchr(argv[i], ':');

		if (colon)
			*colon = '\0';
		add_rule(filter, argv[i], colon ? number_of_error(colon + 1) : ENOSYS, &asked);
	}
	ask(filter, &asked);
	judged = asked.user_namespace || asked.into_cgroup || asked.cgroup_kill;
	if (i + 1 >= argc || (judged && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0))
		die("usage: deny RULE... -- COMMAND...");
	if (judged && fork() == 0)
		start_judge(sockets[1], &asked);
	while (wait(NULL) >= 0)
		;
	if (seccomp_load(filter) < 0)
		die("seccomp_load");
	if (judged)
		pass(sockets[0], seccomp_notify_fd(filter));
	execvp(argv[i + 1], argv + i + 1);
	die(argv[i + 1]);
}
