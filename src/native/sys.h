/* Every raw system call that glibc 2.36 has no wrapper for, or whose wrapper may not be used between clone
 * and exec (glibc's setresuid and setgroups signal the caller's other threads; the raw calls act on one).
 * Each states its kernel; the caller has the fallback.
 */
#ifndef FB_SYS_H
#define FB_SYS_H

#include <errno.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* 5.6. ENOSYS before; EAGAIN when a rename raced a ".." (retried here, bounded). */
static inline int fb_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode,
			     uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
	long fd = -1;

	for (int tries = 0; tries < 32; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

/* 5.3 (set_tid 5.5, CLEAR_SIGHAND 5.5, INTO_CGROUP 5.7). Only safe without CLONE_VM: see clone.c for the other. */
static inline pid_t fb_clone3(struct clone_args *args)
{
	return (pid_t)syscall(SYS_clone3, args, sizeof(*args));
}

static inline int fb_pidfd_open(pid_t pid, unsigned flags) /* 5.3 */
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int fb_pidfd_send_signal(int pidfd, int signal) /* 5.1 */
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static inline int fb_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

static inline int fb_close_range(unsigned first, unsigned last, unsigned flags) /* 5.9, CLOEXEC 5.11 */
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

static inline int fb_setresuid(uid_t uid)
{
	return (int)syscall(SYS_setresuid, uid, uid, uid);
}

static inline int fb_setresgid(gid_t gid)
{
	return (int)syscall(SYS_setresgid, gid, gid, gid);
}

static inline int fb_setgroups(size_t count, const gid_t *groups)
{
	return (int)syscall(SYS_setgroups, count, groups);
}

static inline int fb_capset(cap_user_header_t header, const cap_user_data_t data)
{
	return (int)syscall(SYS_capset, header, data);
}

static inline int fb_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return (int)syscall(SYS_execveat, dirfd, path, argv, envp, flags);
}

#endif
