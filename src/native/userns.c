#include "userns.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

/* Its end of the pipe closes with us, however we end: nobody is left waiting. */
static void hold(int read_end, int write_end)
{
	char byte;

	close(write_end);
	while (read(read_end, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int fb_userns_make(const struct fb_id_maps *maps, struct fb_error *err)
{
	sigset_t all, before;
	char path[64];
	int ends[2], fd = -1, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return FB_FAIL(err, FB_STAGE_USERNS, "pipe2", NULL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fb_copy(CLONE_NEWUSER);
	if (pid == 0)
		hold(ends[0], ends[1]);
	r = pid < 0 ? FB_FAIL(err, FB_STAGE_USERNS, "clone(CLONE_NEWUSER)", NULL) : fb_userns_map(pid, maps, err);
	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? FB_FAIL(err, FB_STAGE_USERNS, "open", path) : fd;
	}
	close(ends[0]);
	close(ends[1]);
	if (pid > 0)
		fb_copy_wait(pid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
