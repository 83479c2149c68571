#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "program.h"
#include "sys.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define NAME_BYTES 8
#define FAIL(call, path) FB_FAIL(err, FB_STAGE_REQUEST, (call), (path))

struct spawn {
	const char *run, *name, *tied;
	int program, directory, listener, owner;
	void *stack; /* of the process that becomes the supervisor */
	pid_t pid;
	int code;
};

/* Runs in the caller's memory while the caller waits: system calls only, and nothing that another thread could hold. */
static int become_supervisor(void *data)
{
	struct spawn *spawn = data;
	char *argv[] = {(char *)"fastbox-supervisor", (char *)spawn->run, (char *)spawn->name,
			(char *)spawn->tied, NULL};
	char *envp[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	int null = open("/dev/null", O_RDWR);

	setsid();
	/* Every source is above 5 (see raise_fd), so no step overwrites what a later one needs. dup2 also clears CLOEXEC. */
	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
	    dup2(spawn->directory, 3) == 3 && dup2(spawn->listener, 4) == 4 &&
	    dup2(spawn->owner, 5) == 5)
		fb_execveat(spawn->program, "", argv, envp, AT_EMPTY_PATH);
	spawn->code = errno;
	_exit(127);
}

/* The supervisor is its grandchild's parent no longer than this takes: the caller must not find a child that it never started,
 * nor be sent a SIGCHLD, nor have to reap. No exit signal: only __WALL sees the process in between. */
static int be_between(void *data)
{
	struct spawn *spawn = data;

	spawn->pid = clone(become_supervisor, (char *)spawn->stack + STACK_SIZE, CLONE_VM | CLONE_VFORK, spawn);
	if (spawn->pid < 0)
		spawn->code = errno;
	_exit(0);
}

static int spawn_apart(struct spawn *spawn, struct fb_error *err)
{
	char *stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, saved;
	pid_t pid;

	if (stacks == MAP_FAILED)
		return FAIL("mmap", NULL);
	spawn->stack = stacks + STACK_SIZE;
	sigfillset(&all);
	/* A signal handler of the caller must not run in a process that shares its memory. */
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	pid = clone(be_between, stacks + STACK_SIZE, CLONE_VM | CLONE_VFORK, spawn);
	if (pid < 0)
		spawn->code = errno;
	else
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	munmap(stacks, 2 * STACK_SIZE);
	if (spawn->code)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, spawn->code, "execve", "fastbox-supervisor", NULL);
	return 0;
}

/* Replace *fd by a copy above the numbers the supervisor gets. */
static int raise_fd(int *fd, struct fb_error *err)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

	if (high < 0)
		return FAIL("fcntl", NULL);
	close(*fd);
	*fd = high;
	return 0;
}

/* Make and lock <run>/supervisors/<name>. Who cleans up may lock and remove it in between, so the name is checked again. */
static int make_directory(const char *run, char name[2 * NAME_BYTES + 1], struct fb_error *err)
{
	fb_auto_close int parent = -1, fd = -1;
	unsigned char random[NAME_BYTES];
	char path[PATH_MAX];
	struct stat held, named;

	snprintf(path, sizeof(path), "%s/supervisors", run);
	if ((mkdir(run, 0700) < 0 && errno != EEXIST) || (mkdir(path, 0700) < 0 && errno != EEXIST))
		return FAIL("mkdir", path);
	parent = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return FAIL("open", path);
	for (int tries = 0; tries < 8; tries++) {
		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return FAIL("getrandom", NULL);
		for (int i = 0; i < NAME_BYTES; i++)
			snprintf(name + 2 * i, 3, "%02x", random[i]);
		if (mkdirat(parent, name, 0700) < 0)
			return FAIL("mkdir", path);
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &held) == 0 &&
		    fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_ino == named.st_ino)
			return fb_steal_fd(&fd);
		fb_cleanup_fd(&fd);
	}
	return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EAGAIN, "flock", path, "the directory was taken away");
}

/* sun_path holds 108 bytes and <run> may be longer: the directory is reached through its descriptor. */
static socklen_t socket_address(int directory, struct sockaddr_un *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/sock", directory);
	return (socklen_t)sizeof(*ret_address);
}

static int listen_in(int directory, struct fb_error *err)
{
	fb_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	socklen_t length = socket_address(directory, &address);

	if (fd < 0)
		return FAIL("socket", NULL);
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return FAIL("bind", address.sun_path);
	if (listen(fd, 4096) < 0)
		return FAIL("listen", address.sun_path);
	return fb_steal_fd(&fd);
}

static void remove_directory(const char *run, const char *name, int directory)
{
	char path[PATH_MAX];

	(void)unlinkat(directory, "sock", 0);
	snprintf(path, sizeof(path), "%s/supervisors/%s", run, name);
	(void)rmdir(path);
}

static int start(const char *program, int directory, struct spawn *spawn, struct fb_error *err)
{
	fb_auto_close int image = -1, listener = -1, owner = -1;
	int r = image = fb_program_open(program, false, err);

	if (r >= 0)
		r = listener = listen_in(directory, err);
	if (r >= 0 && (owner = fb_pidfd_open(getpid(), 0)) < 0)
		r = FAIL("pidfd_open", NULL);
	if (r >= 0)
		r = raise_fd(&image, err);
	if (r >= 0)
		r = raise_fd(&listener, err);
	if (r >= 0)
		r = raise_fd(&owner, err);
	if (r < 0)
		return r;
	spawn->program = image;
	spawn->directory = directory;
	spawn->listener = listener;
	spawn->owner = owner;
	return spawn_apart(spawn, err);
}

int fb_control_spawn(const char *program, const char *run, bool tied, char *ret_name, size_t name_size,
		     struct fb_error *err)
{
	struct spawn spawn = {.run = run, .tied = tied ? "tied" : NULL, .owner = -1};
	fb_auto_close int directory = -1;
	char name[2 * NAME_BYTES + 1];
	int r;

	if (name_size < sizeof(name))
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, ERANGE, "spawn", run, NULL);
	r = directory = make_directory(run, name, err);
	if (r < 0)
		return r;
	spawn.name = name;
	r = raise_fd(&directory, err);
	if (r == 0)
		r = start(program, directory, &spawn, err);
	if (r < 0) {
		remove_directory(run, name, directory);
		return r;
	}
	memcpy(ret_name, name, sizeof(name));
	return (int)spawn.pid;
}

static int open_directory(const char *run, const char *name, int flags)
{
	char path[PATH_MAX];

	if (!*name || strchr(name, '/') || name[0] == '.') {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/supervisors/%s", run, name);
	return open(path, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int fb_control_connect(const char *run, const char *name, struct fb_error *err)
{
	fb_auto_close int directory = open_directory(run, name, O_PATH), fd = -1;
	struct sockaddr_un address;

	if (directory < 0)
		return FAIL("open", name);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return FAIL("socket", NULL);
	if (connect(fd, (struct sockaddr *)&address, socket_address(directory, &address)) < 0)
		return FAIL("connect", name);
	return fb_steal_fd(&fd);
}

int fb_control_alive(const char *run, const char *name)
{
	fb_auto_close int fd = open_directory(run, name, O_RDONLY);

	/* A shared lock that is given back at once: two who ask do not see each other. */
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int fb_control_send(int fd, const void *data, size_t length, const int *fds, size_t fd_count,
		    struct fb_error *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FB_CONTROL_MAX_FDS)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd_count > FB_CONTROL_MAX_FDS || length > FB_CONTROL_MAX_MESSAGE)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EMSGSIZE, "sendmsg", NULL, NULL);
	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(int) * fd_count);
	}
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? FAIL("sendmsg", NULL) : 0;
}

static long long milliseconds(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int fb_control_receive(int fd, void *buffer, size_t size, int timeout_ms, struct fb_error *err)
{
	long long end = timeout_ms < 0 ? 0 : milliseconds() + timeout_ms;
	ssize_t n;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		long long left = timeout_ms < 0 ? -1 : end - milliseconds();
		int r;

		n = recv(fd, buffer, size, MSG_DONTWAIT | MSG_TRUNC);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		r = poll(&ready, 1, timeout_ms >= 0 && left < 0 ? 0 : (int)left);
		/* EINTR is the caller's: a signal may mean that it no longer wants to wait. */
		if (r < 0)
			return FAIL("poll", NULL);
		if (r == 0)
			return FB_FAIL_CODE(err, FB_STAGE_REQUEST, ETIMEDOUT, "poll", NULL, NULL);
	}
	/* A supervisor that was killed with our message unread resets the connection: that is an end, too. */
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0)
		return FAIL("recv", NULL);
	if ((size_t)n > size)
		return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EMSGSIZE, "recv", NULL, NULL);
	return (int)n;
}
