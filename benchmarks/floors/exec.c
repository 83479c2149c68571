/* The floor under an exec: one more process in a running container, by the system calls that it
 * takes and nothing else.
 *
 *   exec --pid PID --groups DIR[:DIR...] --filter FILE
 *
 * PID is the container's first process, DIR its control groups. It reads "N T" lines from stdin (T
 * must be 1: entering a pid namespace is the whole process's business), and for each exec prints
 * the microseconds from the first system call to the reaped `true`, then "done WALL".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"

#define STACK_SIZE ((size_t)256 << 10)
#define GROUPS_MAX 16

struct target {
	int pidfd, own_pids;
	char *groups[GROUPS_MAX];
	int count, tasks[GROUPS_MAX];
	struct worker worker;
};

static void die(const char *what)
{
	fprintf(stderr, "floor of exec: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int enter(void *argument)
{
	const int namespaces =
	    CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
	struct target *t = argument;

	for (int i = 0; i < t->count; i++)
		floor_check(&t->worker, write(t->tasks[i], "0", 1), "tasks");
	floor_check(&t->worker, setns(t->pidfd, namespaces), "setns");
	floor_check(&t->worker, setsid(), "setsid");
	floor_confine(&t->worker);
	floor_become_true(&t->worker);
	return 111;
}

static uint64_t run_one(struct target *t)
{
	uint64_t begin = now();
	sigset_t all, before;
	char path[PATH_MAX];
	int status;
	pid_t pid;

	for (int i = 0; i < t->count; i++) {
		snprintf(path, sizeof(path), "%s/%s", t->groups[i],
			 t->worker.options->unified ? "cgroup.procs" : "tasks");
		t->tasks[i] = open(path, O_WRONLY | O_CLOEXEC);
		if (t->tasks[i] < 0)
			die(path);
	}
	if (setns(t->pidfd, CLONE_NEWPID))
		die("setns(pid)");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(enter, t->worker.stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, t);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0 || setns(t->own_pids, CLONE_NEWPID))
		die("clone");
	for (int i = 0; i < t->count; i++)
		close(t->tasks[i]);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	begin = now() - begin;
	errno = t->worker.code;
	if (t->worker.failed || !WIFEXITED(status) || WEXITSTATUS(status))
		die(t->worker.failed ? t->worker.failed : "the program failed");
	return begin;
}

static void load_filter(struct options *o, const char *path)
{
	static struct sock_filter instructions[BPF_MAXINSNS];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, instructions, sizeof(instructions));

	if (size <= 0)
		die(path);
	close(fd);
	o->filter.len = (unsigned short)((size_t)size / sizeof(*instructions));
	o->filter.filter = instructions;
}

static void parse(struct target *t, struct options *o, int argc, char **argv)
{
	static const struct option names[] = {{"pid", 1, NULL, 'p'},
					      {"groups", 1, NULL, 'g'},
					      {"filter", 1, NULL, 'f'},
					      {NULL, 0, NULL, 0}};
	int word;

	while ((word = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (word == 'p')
			t->pidfd = (int)syscall(SYS_pidfd_open, atoi(optarg), 0);
		else if (word == 'f')
			load_filter(o, optarg);
		else if (word == 'g')
			for (char *name = strtok(optarg, ":"); name && t->count < GROUPS_MAX;
			     name = strtok(NULL, ":"))
				t->groups[t->count++] = name;
		else
			exit(2);
	}
	if (t->pidfd < 0)
		die("--pid");
}

int main(int argc, char **argv)
{
	static struct options options;
	static struct target target = {.pidfd = -1, .worker.options = &options};
	unsigned count, threads;
	char line[64];

	parse(&target, &options, argc, argv);
	options.unified = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	target.own_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	target.worker.stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (target.own_pids < 0 || target.worker.stack == MAP_FAILED)
		die("set-up");
	printf("total\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t wall = now();

		if (sscanf(line, "%u %u", &count, &threads) != 2 || threads != 1)
			exit(2);
		for (unsigned i = 0; i < count; i++)
			printf("%.1f\n", (double)run_one(&target) / 1e3);
		printf("done %.1f\n", (double)(now() - wall) / 1e3);
		fflush(stdout);
	}
	return 0;
}
