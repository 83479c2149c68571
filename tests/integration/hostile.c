/* Wants to outlive the exec that it came from: sessions and parents of its own, every signal ignored, and forks for as long as there are pids. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ignore_all(void)
{
	sigset_t all;

	for (int signal_number = 1; signal_number < 65; signal_number++)
		signal(signal_number, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

/* The child's parent is gone before anybody could look. */
static void leave(void)
{
	if (fork())
		_exit(0);
	setsid();
	if (fork())
		_exit(0);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	ignore_all();
	if (strcmp(how, "daemon") == 0) {
		if (fork() == 0)
			leave();
	} else if (strcmp(how, "runner") == 0 && fork() == 0) {
		for (;;) /* never the same process for long */
			leave();
	} else if (strcmp(how, "bomb") == 0) {
		for (;;)
			if (fork() == 0)
				setsid();
	}
	for (;;)
		pause();
}
