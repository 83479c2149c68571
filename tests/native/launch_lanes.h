/* The same test with groups of new system calls denied, each in a process of its own, to prove the fallbacks; and once as the kernel is. */
#ifndef FB_LAUNCH_LANES_H
#define FB_LAUNCH_LANES_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "launch_fixture.h"

static bool filtered;

#define MOUNT_CALLS SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_open_tree, SYS_move_mount, SYS_mount_setattr

struct lane {
	const char *name;
	int denied[12]; /* system calls, up to the first 0 */
	int answer;
};

static const struct lane lanes[] = {
	{"clone3", {SYS_clone3}, ENOSYS},
	{"openat2", {SYS_openat2}, EPERM},
	{"mount_setattr", {SYS_mount_setattr}, ENOSYS},
	{"fsopen", {SYS_fsopen}, ENOSYS},
	{"fsconfig", {SYS_fsconfig}, EPERM},
	{"fsmount", {SYS_fsmount}, EPERM},
	{"open_tree", {SYS_open_tree}, ENOSYS},
	{"move_mount", {SYS_move_mount}, EPERM},
	{"new mount calls", {MOUNT_CALLS}, EPERM},
	{"close_range and pidfd_send_signal", {SYS_close_range, SYS_pidfd_send_signal}, EPERM},
	{"all", {SYS_clone3, SYS_openat2, SYS_close_range, SYS_pidfd_send_signal, SYS_statx, MOUNT_CALLS}, ENOSYS},
};

static inline void deny(const struct lane *lane)
{
	struct sock_filter code[28] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {.len = 1, .filter = code};

	for (int i = 0; i < 12 && lane->denied[i]; i++) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)lane->denied[i], 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)lane->answer);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		exit(1);
	filtered = true;
}

static inline int run_lanes(void (*everything)(void))
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(lanes) / sizeof(*lanes); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			deny(&lanes[i]);
			everything();
			_exit(end());
		}
		if (wait_code(pid) != 0) {
			fprintf(stderr, "without %s: failed\n", lanes[i].name);
			failed = 1;
		}
	}
	everything();
	return end() || failed;
}

#endif
