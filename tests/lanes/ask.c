/* ask COMMAND...: before each system call of the command, and of all that comes of it, whoever takes the listener's descriptor from this
 * process (it is found in /proc/PID/fd) decides whether it is made or fails.
 *
 * Not asked about: what can't fail, what must not (a descriptor is closed even if close says otherwise; a wait for our own child ends), and
 * what merely waits. The dynamic loader, not us, dies without brk.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const int never[] = {
	SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(umask), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(getppid), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(waitid), SCMP_SYS(wait4),
	SCMP_SYS(futex), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_gettime), SCMP_SYS(pause), SCMP_SYS(restart_syscall),
	SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(getrandom),
	SCMP_SYS(brk),
};

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_NOTIFY);
	int r = !filter || argc < 2 ? -EINVAL : seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);

	for (size_t i = 0; r == 0 && i < sizeof(never) / sizeof(*never); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, never[i], 0);
	if (r == 0) /* fails for what is no descriptor, and for nothing else */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFD));
	if (r == 0) /* the kernel always unlocks */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(flock), 1, SCMP_A1(SCMP_CMP_EQ, LOCK_UN));
	/* The first call after this one waits until somebody listens. */
	if (r == 0)
		r = seccomp_load(filter);
	if (r == 0)
		execvp(argv[1], argv + 1);
	fprintf(stderr, "ask: %s\n", strerror(r < 0 ? -r : errno));
	return 125;
}
