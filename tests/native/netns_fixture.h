/* A network of the test's own to play the host in, and namespaces to play containers. */
#ifndef FB_NETNS_FIXTURE_H
#define FB_NETNS_FIXTURE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "error.h"

static inline void show(const struct fb_error *err)
{
	fprintf(stderr, "  %s: %s %s: %s (%s) line %d\n", fb_stage_name(err->stage), err->call, err->path, strerror(err->code), err->detail, err->line);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		int r_ = (call);                                                                   \
		CHECK(r_ >= 0);                                                                    \
		if (r_ < 0)                                                                        \
			show(&err);                                                                \
	} while (0)

/* Not root, or not allowed: the test is skipped. */
static inline void play_host(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0) {
		fprintf(stderr, "needs root: skipped\n");
		exit(77);
	}
}

/* What a command prints, cut at the size. */
static inline const char *output(const char *command)
{
	static char text[8192];
	FILE *pipe = popen(command, "r"); /* NOLINT */
	size_t length = pipe ? fread(text, 1, sizeof(text) - 1, pipe) : 0;

	text[length] = '\0';
	if (pipe)
		pclose(pipe);
	return text;
}

/* What a command prints inside of a namespace. */
static inline const char *output_in(int network_namespace, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "nsenter --net=/proc/%d/fd/%d %s 2>&1", (int)getpid(), network_namespace, command);
	return output(line);
}

static inline int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
