#include "userns.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "sys.h"

#define MAP_MAX 4096 /* a page: the kernel takes less than that, in one write */

bool fb_has_capability(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective >> capability % 32 & 1;
}

pid_t fb_copy(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
}

int fb_copy_wait(pid_t pid)
{
	int status;
	pid_t r;

	do
		r = waitpid(pid, &status, __WALL);
	while (r < 0 && errno == EINTR);
	return r == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int write_text(pid_t pid, const char *name, const char *text, const char *detail, struct fb_error *err)
{
	fb_auto_close int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_USERNS, "open", path);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return FB_FAIL_CODE(err, FB_STAGE_USERNS, errno, "write", path, errno == EPERM ? detail : NULL);
	return 0;
}

static int write_map(pid_t pid, const char *name, const struct fb_mapping *mappings, size_t count,
		     struct fb_error *err)
{
	char text[MAP_MAX];
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%u %u %u\n",
					   mappings[i].container, mappings[i].host, mappings[i].size);
		if (length >= sizeof(text))
			return FB_FAIL_CODE(err, FB_STAGE_USERNS, E2BIG, "config", name,
					    "more mappings than the kernel takes");
	}
	return write_text(pid, name, text, "without CAP_SETUID and CAP_SETGID only the caller's own id can be mapped",
			  err);
}

int fb_userns_map(pid_t pid, const struct fb_id_maps *maps, struct fb_error *err)
{
	int r = 0;

	/* Dropping a group would get past a file mode that denies it: the kernel lets go of that only for who could drop it anyway. */
	if (!fb_has_capability(CAP_SETGID))
		r = write_text(pid, "setgroups", "deny", NULL, err);
	if (r == 0)
		r = write_map(pid, "uid_map", maps->uids, maps->uid_count, err);
	return r < 0 ? r : write_map(pid, "gid_map", maps->gids, maps->gid_count, err);
}

/* A copy of the caller in a user namespace, new or joined (fd >= 0), for as long as the socket is open: its other end closes with us, however
 * we end, and nobody is left waiting. */
static void hold(int socket_fd, int other, int fd)
{
	char byte = 'j';

	close(other);
	/* Who has rights in a user namespace that others are in must not see our memory. */
	if (fd < 0 || (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setns(fd, CLONE_NEWUSER) == 0))
		(void)!write(socket_fd, &byte, 1);
	while (read(socket_fd, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* The pid of one that has joined; -1 with err when it could not. */
static pid_t start_holder(int fd, int *ret_socket, struct fb_error *err)
{
	int sockets[2];
	pid_t pid;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) {
		FB_FAIL(err, FB_STAGE_USERNS, "socketpair", NULL);
		return -1;
	}
	pid = fb_copy(fd < 0 ? CLONE_NEWUSER : 0);
	if (pid == 0)
		hold(sockets[1], sockets[0], fd);
	close(sockets[1]);
	if (pid < 0)
		FB_FAIL(err, FB_STAGE_USERNS, "clone(CLONE_NEWUSER)", NULL);
	if (pid > 0 && read(sockets[0], &byte, 1) == 1) {
		*ret_socket = sockets[0];
		return pid;
	}
	close(sockets[0]);
	if (pid > 0) {
		fb_copy_wait(pid);
		FB_FAIL_CODE(err, FB_STAGE_USERNS, EPERM, "setns", "", NULL);
	}
	return -1;
}

static int open_holders(pid_t pid, struct fb_error *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? FB_FAIL(err, FB_STAGE_USERNS, "open", path) : fd;
}

int fb_userns_make(const struct fb_id_maps *maps, struct fb_error *err)
{
	sigset_t all, before;
	int socket_fd, r = -1;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = start_holder(-1, &socket_fd, err);
	if (pid > 0) {
		r = fb_userns_map(pid, maps, err);
		if (r == 0)
			r = open_holders(pid, err);
		close(socket_fd);
		fb_copy_wait(pid);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid > 0 ? r : -err->code;
}

static bool has_map(pid_t pid, const char *name, const struct fb_mapping *mappings, size_t count)
{
	char path[64];
	struct fb_mapping line;
	size_t found = 0, lines = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if (!(file = fopen(path, "re")))
		return false;
	for (; fscanf(file, "%u %u %u", &line.container, &line.host, &line.size) == 3; lines++)
		for (size_t i = 0; i < count; i++)
			found += memcmp(&line, &mappings[i], sizeof(line)) == 0;
	fclose(file);
	return lines == count && found == count;
}

int fb_userns_check(int fd, const struct fb_id_maps *maps, struct fb_error *err)
{
	sigset_t all, before;
	int socket_fd;
	bool same = false;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = start_holder(fd, &socket_fd, err);
	if (pid > 0) {
		same = has_map(pid, "uid_map", maps->uids, maps->uid_count) &&
		       has_map(pid, "gid_map", maps->gids, maps->gid_count);
		close(socket_fd);
		fb_copy_wait(pid);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return -err->code;
	return same ? 0 : FB_FAIL_CODE(err, FB_STAGE_USERNS, EINVAL, "config", ".linux.uidMappings",
				       "are not those of the user namespace that is joined");
}
