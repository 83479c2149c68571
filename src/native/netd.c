#include "netd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "detached.h"
#include "io.h"

#define MAX_ARGS 32
#define FAIL(call, path) FB_FAIL(err, FB_STAGE_NETWORK, (call), (path))

/* sun_path holds 108 bytes and <run> may be longer: the directory is reached through its descriptor. */
static void socket_address(int directory, struct sockaddr_un *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/sock", directory);
}

static int connect_in(int directory, struct fb_error *err)
{
	fb_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	socket_address(directory, &address);
	if (fd < 0)
		return FAIL("socket", NULL);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return FAIL("connect", "netd/sock");
	return fb_steal_fd(&fd);
}

/* Whoever holds the lock is the only one to do this: a name that is there is a dead one's. */
static int listen_in(int directory, struct fb_error *err)
{
	fb_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	socket_address(directory, &address);
	if (fd < 0)
		return FAIL("socket", NULL);
	if (unlinkat(directory, "sock", 0) < 0 && errno != ENOENT)
		return FAIL("unlink", "netd/sock");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return FAIL("bind", "netd/sock");
	if (listen(fd, 4096) < 0)
		return FAIL("listen", "netd/sock");
	return fb_steal_fd(&fd);
}

/* What can't be executed is seen as the end of the listening socket. */
static int start(char *const *argv, int directory, int listener, struct fb_error *err)
{
	const int fds[] = {directory, listener};
	char *words[MAX_ARGS + 3];
	size_t count = 0;
	int r;

	for (; argv[count] && count < MAX_ARGS; count++)
		words[count] = argv[count];
	words[count++] = (char *)"3";
	words[count++] = (char *)"4";
	words[count] = NULL;
	r = fb_spawn_detached(words, fds, 2);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_NETWORK, -r, "fork", NULL, NULL) : 0;
}

static int open_directory(const char *run, struct fb_error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/netd", run);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return FAIL("mkdir", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? FAIL("open", path) : fd;
}

int fb_netd_reach(const char *run, char *const *argv, struct fb_error *err)
{
	fb_auto_close int directory = open_directory(run, err), listener = -1, fd = -1;
	int r;

	if (directory < 0)
		return directory;
	fd = connect_in(directory, err);
	if (fd >= 0 || (fd != -ENOENT && fd != -ECONNREFUSED))
		return fb_steal_fd(&fd);
	if (!argv || !argv[0])
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOENT, "execve", run, "nothing says what netd is");
	/* The lock is of the open file, so it goes over to netd with the descriptor. */
	if (flock(directory, LOCK_EX | LOCK_NB) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EAGAIN, "flock", run, "netd is just starting or ending");
	r = listener = listen_in(directory, err);
	if (r >= 0)
		r = fd = connect_in(directory, err);
	if (r >= 0)
		r = start(argv, directory, listener, err);
	return r < 0 ? r : fb_steal_fd(&fd);
}
