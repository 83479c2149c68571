#include "detached.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"

#define MOST 8

static void become(char *const *words, const int *fds, size_t count)
{
	char *const envp[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	struct sigaction standard = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDWR), high[MOST];
	sigset_t none;

	/* Above what they become, so that no step overwrites what a later one needs. */
	for (size_t i = 0; i < count; i++)
		if ((high[i] = fcntl(fds[i], F_DUPFD, 3 + MOST)) < 0)
			return;
	for (int signal = 1; signal < 32; signal++)
		(void)sigaction(signal, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || chdir("/") < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return;
	for (size_t i = 0; i < count; i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			return;
	fb_close_from(3 + (int)count);
	execve(words[0], words, envp);
}

int fb_spawn_detached(char *const *words, const int *fds, size_t count)
{
	pid_t pid;

	if (count > MOST)
		return -EINVAL;
	pid = fork();
	if (pid == 0) {
		setsid();
		if (fork() == 0)
			become(words, fds, count);
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	/* The process in between ends at once. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}
