/* fastbox-supervisor <run> <name> [tied]: started by fb_control_spawn with the locked directory as descriptor 3, the listening socket as 4 and
 * its maker's pidfd as 5.
 *
 * It is no subreaper: in a pid namespace the kernel gives orphans to that namespace's first process, and without one they are the host's
 * init's, as any daemon's are. So it never meets a child that it did not clone.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "supervise.h"

static struct fb_supervisor supervisor; /* in .bss: its buffers cost memory only as far as they are used */

int main(int argc, char **argv)
{
	struct fb_error err = {0};
	bool tied = argc == 4 && strcmp(argv[3], "tied") == 0;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};

	/* An image's entry point or interpreter can be /proc/self/exe, which is this program while the command is looked up. */
	if ((argc != 3 && !tied) || argv[1][0] != '/' || fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0 ||
	    fcntl(5, F_GETFD) < 0) {
		dprintf(2, "fastbox: %s: is no command: it led to the engine's own program\n", argc ? argv[0] : "");
		return 126;
	}
	fb_close_from(6);
	for (int fd = 3; fd <= 5; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NAME, "fastbox-superv");
	for (int signal = 1; signal < 32; signal++)
		(void)sigaction(signal, &standard, NULL);
	/* A hang-up or an interrupt is meant for a client; a write to a client that is gone is an error, not an end. */
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	umask(022); /* children inherit it; what this process makes states its mode */
	if (chdir("/") < 0)
		return 125;
	supervisor.run = argv[1];
	supervisor.name = argv[2];
	supervisor.tied = tied;
	return fb_supervise(&supervisor, 3, 4, 5, &err) < 0 ? 125 : 0;
}
