#include "release.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "io.h"
#include "record.h"
#include "tar_extract.h"
#include "trash.h"

/* The same as struct fb_release without a pointer: one message of the socket between the two. */
struct job {
	char run[PATH_MAX], directory[PATH_MAX], scratch[PATH_MAX], id[65];
	bool trash, live, sync;
	int cgroup_count;
	char cgroups[FB_CGROUP_MAX][256];
};

/* The path is <root>/containers/<id>, checked when it was renamed. */
static void remove_trash(const char *directory)
{
	char path[PATH_MAX];
	const char *slash = strrchr(directory, '/');
	fb_auto_close int tmp = -1;

	if (!slash || slash - directory < 11)
		return;
	snprintf(path, sizeof(path), "%.*s/tmp", (int)(slash - directory) - 11, directory);
	tmp = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp >= 0)
		fb_trash_empty(tmp, slash + 1, NULL);
}

/* <some tmpfs>/fastbox-<id>: checked by who asks. */
static void remove_scratch(const char *scratch)
{
	const char *slash = strrchr(scratch, '/');
	char parent[PATH_MAX];
	fb_auto_close int fd = -1;

	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - scratch), scratch);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		fb_remove_tree(fd, slash + 1, NULL);
}

/* The record was renamed into place before anybody was told; only now is there time to make it last. */
static void sync_exit(const char *directory)
{
	char path[PATH_MAX];
	fb_auto_close int fd = -1;

	snprintf(path, sizeof(path), "%s/exit", directory);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		(void)fdatasync(fd);
}

static void work(const struct job *job)
{
	const char *paths[FB_CGROUP_MAX];

	for (int i = 0; i < job->cgroup_count; i++)
		paths[i] = job->cgroups[i];
	if (job->cgroup_count)
		fb_cgroup_remove(paths, job->cgroup_count, NULL);
	/* The live state names the groups, so it outlives them: a supervisor killed half-way leaves what a healer needs. */
	if (job->live)
		fb_record_live_remove(job->run, job->id);
	if (job->trash && job->scratch[0])
		remove_scratch(job->scratch);
	if (job->trash)
		remove_trash(job->directory);
	else if (job->sync)
		sync_exit(job->directory);
}

static void serve(int socket)
{
	struct job job;
	ssize_t n;

	for (;;) {
		n = recv(socket, &job, sizeof(job), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(job))
			_exit(0);
		work(&job);
		(void)send(socket, "", 1, MSG_NOSIGNAL);
	}
}

static int start(struct fb_releaser *releaser)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		/* Neither the lock nor a client's pipe may live on in here: the lock says that the supervisor lives, and a pipe
		 * ends when its last copy is closed. */
		dup2(ends[1], 3);
		fb_close_from(4);
		serve(3);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -errno;
	}
	releaser->pid = pid;
	releaser->socket = ends[0];
	return 0;
}

void fb_release(struct fb_releaser *releaser, const struct fb_release *release)
{
	/* The containers of a session die with it: nothing of theirs is to outlast a power cut. */
	struct job job = {.trash = release->trash, .live = release->live, .sync = !releaser->apart};

	snprintf(job.run, sizeof(job.run), "%s", release->run);
	snprintf(job.directory, sizeof(job.directory), "%s", release->directory);
	snprintf(job.scratch, sizeof(job.scratch), "%s", release->scratch ? release->scratch : "");
	snprintf(job.id, sizeof(job.id), "%s", release->id);
	if (release->cgroup) {
		job.cgroup_count = release->cgroup->path_count;
		memcpy(job.cgroups, release->cgroup->paths, sizeof(job.cgroups));
	}
	/* When it is too busy to take more, this process shares the work. */
	if (releaser->apart && (releaser->pid || start(releaser) == 0) &&
	    send(releaser->socket, &job, sizeof(job), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(job))
		releaser->pending++;
	else
		work(&job);
}

void fb_release_answers(struct fb_releaser *releaser, bool wait)
{
	char answer;
	ssize_t n;

	while (releaser->pending) {
		n = recv(releaser->socket, &answer, 1, wait ? 0 : MSG_DONTWAIT);
		if (n == 1)
			releaser->pending--;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && errno == EAGAIN)
			return;
		else
			releaser->pending = 0; /* killed: what it had not done is a healer's */
	}
}

void fb_release_end(struct fb_releaser *releaser)
{
	if (!releaser->pid)
		return;
	fb_release_answers(releaser, true);
	close(releaser->socket);
	while (waitpid(releaser->pid, NULL, 0) < 0 && errno == EINTR)
		;
	releaser->pid = 0;
	releaser->socket = -1;
}
