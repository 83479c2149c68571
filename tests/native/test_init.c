/* fastbox-init as the first process of a pid namespace: codes, signals, zombies. Needs root. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

static char init[PATH_MAX];

static pid_t start(const char *command, int output)
{
	struct clone_args args = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
	pid_t pid = fb_clone3(&args);

	assert(pid >= 0);
	if (pid == 0) {
		if (output >= 0)
			dup2(output, 1);
		execl(init, init, "--", "/bin/sh", "-c", command, NULL);
		_exit(99);
	}
	return pid;
}

static int end(pid_t pid)
{
	int status;

	assert(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void test_codes(void)
{
	assert(end(start("exit 7", -1)) == 7);
	assert(end(start("kill -9 $$", -1)) == 137);
	assert(end(start("exec /nonexistent/x 2>/dev/null", -1)) == 127);
	/* Others end with it. */
	assert(end(start("sleep 100 & exit 3", -1)) == 3);
}

static void test_signal(void)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert(pipe(ends) == 0);
	pid = start("trap 'exit 9' TERM; echo; while :; do sleep 0.05; done", ends[1]);
	assert(read(ends[0], &byte, 1) == 1);
	kill(pid, SIGTERM);
	assert(end(pid) == 9);
	close(ends[0]);
	close(ends[1]);
}

/* Orphans are reaped: what remains in /proc after 300 of them is the shell's own (procfs is the host's, so count by parent). */
static void test_zombies(void)
{
	int ends[2];
	char path[64], text[4096], byte;
	pid_t pid;
	ssize_t n;
	int fd;

	assert(pipe(ends) == 0);
	pid = start("i=0; while [ $i -lt 300 ]; do (sleep 0 &) ; i=$((i+1)); done; sleep 0.2; echo; sleep 100", ends[1]);
	assert(read(ends[0], &byte, 1) == 1);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY);
	assert(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert(n > 0);
	text[n] = '\0';
	assert(strchr(text, ' ') == strrchr(text, ' ')); /* one child: the command */
	close(fd);
	kill(pid, SIGKILL);
	assert(end(pid) == 1000 + SIGKILL);
	close(ends[0]);
	close(ends[1]);
}

/* With a terminal, the command is its foreground: ctrl-C ends it, and the shell below can read. */
static void test_terminal(void)
{
	int master, slave, status;
	char text[256];
	ssize_t n;
	pid_t pid;

	master = posix_openpt(O_RDWR | O_NOCTTY);
	assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert(slave >= 0);
	pid = fork();
	if (pid == 0) {
		setsid();
		ioctl(slave, TIOCSCTTY, 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		execl(init, init, "/bin/sh", "-c", "read x; echo \"<$x>\"; sleep 100", NULL);
		_exit(99);
	}
	close(slave);
	assert(write(master, "abc\n", 4) == 4);
	for (size_t got = 0; !memmem(text, got, "<abc>", 5); got += (size_t)n) {
		n = read(master, text + got, sizeof(text) - got);
		assert(n > 0);
	}
	/* More than once: a shell that is just about to start its next command loses an interrupt. */
	for (int i = 0; i < 100 && (n = waitpid(pid, &status, WNOHANG)) == 0; i++) {
		assert(write(master, "\x03", 1) == 1);
		usleep(50000);
	}
	assert(n == pid && WIFEXITED(status) && WEXITSTATUS(status) == 130);
	close(master);
}

int main(void)
{
	const char *directory = getenv("FASTBOX_LIBEXEC");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert(n > 0);
	self[n] = '\0';
	snprintf(init, sizeof(init), "%s/fastbox-init", directory ? directory : dirname(self));
	alarm(60);
	test_codes();
	test_signal();
	test_zombies();
	test_terminal();
	puts("init: ok");
	return 0;
}
