/* The end of a group: who was killed for memory, kill what is in it, remove it. Needs nothing but
 * the directories' names, so that remains of a supervisor that is gone can be cleaned up as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "sys.h"

#define DEPTH_MAX 128  /* of nested groups */
#define BATCH 128      /* processes signalled together */
#define ROUNDS_MAX 100 /* with a pause of up to 10 ms: about a second */

/* 1 ms, then longer: most waits are for a process that is about to be gone. */
static void pause_of(int round)
{
	struct timespec pause = {0, (round < 10 ? round + 1 : 10) * 1000000L};

	nanosleep(&pause, NULL);
}

int fb_cgroup_oom_killed(const struct fb_cgroup *group)
{
	char text[1024];
	const char *at;

	if (!group->memory[0])
		return 0;
	if (fb_cgroup_read(group->memory, "memory.events", text, sizeof(text)) < 0 &&
	    fb_cgroup_read(group->memory, "memory.oom_control", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "oom_kill ");
	return at && strtoull(at + 9, NULL, 10) > 0;
}

/* --- remove --- */

static bool is_child(const struct dirent *item)
{
	return item->d_type == DT_DIR && strcmp(item->d_name, ".") && strcmp(item->d_name, "..");
}

/* Remove the children, then the group. The kernel names the children, and there are no links. */
static int remove_once(int parent, const char *name, int depth)
{
	fb_auto_dir DIR *dir = NULL;
	struct dirent *item;
	int fd, r = 0;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY || depth >= DEPTH_MAX)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((item = readdir(dir)))
		if (is_child(item) && (r = remove_once(fd, item->d_name, depth + 1)) < 0)
			return r;
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int fb_cgroup_remove(const char *const *paths, int count, struct fb_error *err)
{
	int result = 0, round = 0;

	/* One that stays must not keep the others: they are all tried, within one second together.
	 */
	for (int i = 0; i < count; i++) {
		int r = remove_once(AT_FDCWD, paths[i], 0);

		/* A process that has been killed is in its group until it has let go of its memory.
		 */
		while (r == -EBUSY && round < ROUNDS_MAX) {
			pause_of(round++);
			r = remove_once(AT_FDCWD, paths[i], 0);
		}
		if (r < 0 && result == 0)
			result =
			    FB_FAIL_CODE(err, FB_STAGE_CGROUP, -r, "rmdir", paths[i],
					 r == -EBUSY ? "processes are still in the group" : NULL);
	}
	return result;
}

/* --- kill --- */

static FILE *open_procs(int group)
{
	int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static bool is_member(int group, pid_t wanted)
{
	FILE *file = open_procs(group);
	bool found = false;
	int pid;

	while (file && !found && fscanf(file, "%d", &pid) == 1)
		found = pid == wanted;
	if (file)
		fclose(file);
	return found;
}

/* A number read from the list may belong to somebody else by the time it is used. The pidfd fixes
 * who is meant, and the list is read again after it: still there means that it is the one in the
 * group (or one already dead, which feels nothing). */
static int kill_member(int group, pid_t pid)
{
	fb_auto_close int pidfd = fb_pidfd_open(pid, 0);

	if (pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (!is_member(group, pid) || fb_pidfd_send_signal(pidfd, SIGKILL) == 0 || errno == ESRCH)
		return 0;
	return -errno;
}

/* Signal what is in the group and below; how many there were, or -errno. */
static int kill_members(int parent, const char *name, int depth)
{
	fb_auto_dir DIR *dir = NULL;
	struct dirent *item;
	pid_t pids[BATCH];
	int fd, pid, count = 0, below = 0, refused = 0;
	FILE *file;

	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	file = open_procs(fd);
	/* 0 stands for a process outside of our pid namespace. */
	while (file && count < BATCH && fscanf(file, "%d", &pid) == 1)
		if (pid > 0)
			pids[count++] = pid;
	if (file)
		fclose(file);
	for (int i = 0; i < count; i++) {
		int r = kill_member(fd, pids[i]);

		refused = r < 0 ? r : refused;
	}
	while (depth < DEPTH_MAX && (item = readdir(dir)))
		if (is_child(item) && (below = kill_members(fd, item->d_name, depth + 1)) > 0)
			count += below;
	return refused < 0 ? refused : count;
}

/* v1's freezer keeps the dead from dying. */
static void thaw(const char *const *paths, int count)
{
	for (int i = 0; i < count; i++)
		fb_cgroup_write(paths[i], "freezer.state", "THAWED", NULL);
}

static int kill_v1(const char *const *paths, int index, int paths_count, int *round, struct fb_error *err)
{
	const char *path = paths[index];

	for (;;) {
		int count = kill_members(AT_FDCWD, path, 0);

		if (count <= 0)
			return count < 0
				   ? FB_FAIL_CODE(err, FB_STAGE_CGROUP, -count, "pidfd_send_signal", path, NULL)
				   : 0;
		if (*round % 10 == 1)
			thaw(paths, paths_count);
		if (*round >= ROUNDS_MAX)
			return FB_FAIL_CODE(
			    err, FB_STAGE_CGROUP, ETIMEDOUT, "kill", path,
			    "processes of the group do not die (uninterruptible sleep, or frozen)");
		pause_of((*round)++);
	}
}

int fb_cgroup_kill(const char *const *paths, int count, struct fb_error *err)
{
	int result = 0, round = 0;

	for (int i = 0; i < count; i++) {
		struct fb_error ours = {0};
		int r = fb_cgroup_write(paths[i], "cgroup.kill", "1", &ours); /* v2, 5.14 */

		if (r == -ENOENT)
			r = kill_v1(paths, i, count, &round, &ours);
		if (r == -ENODEV) /* removed meanwhile */
			r = 0;
		if (r < 0 && result == 0) {
			result = r;
			if (err)
				*err = ours;
		}
	}
	return result;
}
