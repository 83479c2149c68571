/* fastbox-init [--] COMMAND [ARG...]: the first process of a container started with --init.
 *
 * It starts the command, passes signals on to it, reaps what other processes leave behind, and ends with the command's code. The kernel then
 * ends all others of the pid namespace.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the kernel sends for a fault of our own must not be held back. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

static void say(const char *what, const char *name)
{
	char line[512];
	int length = snprintf(line, sizeof(line), "fastbox-init: %s %s: %s\n", what, name, strerrordesc_np(errno));
	ssize_t n = write(2, line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1);

	(void)n;
}

static void run(char **argv, const sigset_t *mask)
{
	/* A group of its own in the terminal's foreground: ctrl-C reaches the command once, not a second time through us. SIGTTOU is
	 * still blocked here, so the call is allowed from the background. */
	setpgid(0, 0);
	(void)tcsetpgrp(0, getpid());
	signal(SIGTTIN, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	say("cannot execute", argv[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Reap all that are dead. Returns the command's code once it is among them, else -1. */
static int reap(pid_t command)
{
	int status, code = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return code;
}

int main(int argc, char **argv)
{
	sigset_t all, saved;
	pid_t command;
	int code = -1;

	argv++;
	if (argc > 1 && strcmp(argv[0], "--") == 0)
		argv++;
	if (argc < 2 || !argv[0]) {
		fputs("usage: fastbox-init [--] COMMAND [ARG...]\n", stderr);
		return 125;
	}
	/* In a shared pid namespace somebody else is the first process: orphans of the command still come here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	sigprocmask(SIG_SETMASK, &all, &saved);
	command = fork();
	if (command == 0)
		run(argv, &saved);
	if (command < 0) {
		say("cannot start", argv[0]);
		return 125;
	}
	while (code < 0) {
		int signal = sigwaitinfo(&all, NULL);

		if (signal == SIGCHLD)
			code = reap(command);
		else if (signal > 0 && signal != SIGTTIN && signal != SIGTTOU && signal != SIGTSTP)
			(void)kill(command, signal);
	}
	return code;
}
