/* Runs inside a container and answers what it is asked by its words, one "word=answer" a line; nothing is allocated, nothing needs /proc. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *word;

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void answer(const char *format, ...)
{
	char text[8192];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("%s=", word);
	for (const char *c = text; *c; c++)
		if (*c == '\n')
			fputs("\\n", stdout);
		else
			putchar(*c);
	putchar('\n');
}

static void result(long value)
{
	answer("%s", value < 0 ? strerrorname_np(errno) : "ok");
}

static void ask_uname(const char *unused)
{
	struct utsname u;

	(void)unused;
	uname(&u);
	answer("%s %s %s", u.nodename, u.domainname, u.machine);
}

static void ask_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

	if (n == 0)
		answer("empty");
	else
		result(n);
	if (fd >= 0)
		close(fd);
}

static void ask_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	result(fd);
	if (fd >= 0)
		close(fd);
}

static void ask_text(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0) {
		result(-1);
	} else {
		text[n] = '\0';
		answer("%s", text);
	}
	if (fd >= 0)
		close(fd);
}

static void ask_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		result(-1);
	else
		answer("%o %u:%u %u:%u", st.st_mode, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev));
}

static void ask_mkdir(const char *path)
{
	result(mkdir(path, 0777));
}

static void ask_create(const char *path)
{
	struct stat st = {0};
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);

	if (fd < 0 || fstat(fd, &st) < 0)
		result(-1);
	else
		answer("%o %u:%u", st.st_mode, st.st_uid, st.st_gid);
	if (fd >= 0)
		close(fd);
}

static void ask_execute(const char *path)
{
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		execl(path, path, "uname", (char *)NULL);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	answer("%s", WIFEXITED(status) && WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "ok");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void ask_list(const char *path)
{
	struct dirent **entries;
	char text[4096] = "";
	int n = scandir(path, &entries, NULL, by_name);

	if (n < 0) {
		result(-1);
		return;
	}
	for (int i = 0; i < n; i++)
		if (entries[i]->d_name[0] != '.') {
			strncat(text, entries[i]->d_name, sizeof(text) - strlen(text) - 2);
			strcat(text, " ");
		}
	answer("%s", text);
}

static void ask_size(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		result(-1);
	else
		answer("%llu bytes %llu inodes", (unsigned long long)fs.f_blocks * fs.f_bsize, (unsigned long long)fs.f_files);
}

static void ask_cwd(const char *unused)
{
	char path[4096];

	(void)unused;
	answer("%s", getcwd(path, sizeof(path)) ? path : strerrorname_np(errno));
}

static void ask_clock(const char *unused)
{
	struct timespec boot, mono;

	(void)unused;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	answer("%lld %lld", (long long)boot.tv_sec, (long long)mono.tv_sec);
}

static void ask_schedule(const char *unused)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t min, max;
	} attr = {0};

	(void)unused;
	syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0);
	answer("policy %u flags %llx nice %d priority %u runtime %llu deadline %llu period %llu io %lx", attr.policy,
	       (unsigned long long)attr.flags, attr.nice, attr.priority, (unsigned long long)attr.runtime,
	       (unsigned long long)attr.deadline, (unsigned long long)attr.period, syscall(SYS_ioprio_get, 1, 0));
}

static void ask_personality(const char *unused)
{
	(void)unused;
	answer("%x", personality(0xffffffff));
}

static void ask_affinity(const char *unused)
{
	cpu_set_t set;

	(void)unused;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	answer("%lx", set.__bits[0]);
}

static void ask_keyring(const char *unused)
{
	char text[256] = "";
	long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0);

	(void)unused;
	if (id < 0 || syscall(SYS_keyctl, KEYCTL_DESCRIBE, -3, text, sizeof(text)) < 0)
		result(-1);
	else
		answer("%ld %s", id, text);
}

static void ask_terminal(const char *unused)
{
	struct winsize size = {0};
	struct stat st = {0};
	char name[256] = "";
	ssize_t n = readlink("/proc/self/fd/0", name, sizeof(name) - 1);
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	(void)unused;
	name[n < 0 ? 0 : n] = '\0';
	ioctl(0, TIOCGWINSZ, &size);
	fstat(0, &st);
	answer("tty %d%d%d name %s size %ux%u leader %d foreground %d /dev/tty %s mode %o %u:%u", isatty(0), isatty(1), isatty(2), name,
	       size.ws_col, size.ws_row, getsid(0) == getpid(), tcgetpgrp(0) == getpgrp(), fd < 0 ? strerrorname_np(errno) : "ok",
	       st.st_mode, st.st_uid, st.st_gid);
	if (fd >= 0)
		close(fd);
}

/* Of every open descriptor: what it is, whether it can be written, and no number that differs between two runs. */
static void ask_descriptors(const char *unused)
{
	char text[2048] = "";
	struct stat st;
	int flags;

	(void)unused;
	for (int fd = 0; fd < 256; fd++)
		if (fstat(fd, &st) == 0 && (flags = fcntl(fd, F_GETFL)) >= 0) {
			size_t used = strlen(text);
			snprintf(text + used, sizeof(text) - used, "%d:%o:%d ", fd, st.st_mode & S_IFMT, flags & O_ACCMODE);
		}
	answer("%s", text);
}

static void ask_signals(const char *unused)
{
	char text[1024] = "";
	struct sigaction action;
	sigset_t blocked;

	(void)unused;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int n = 1; n < 65; n++) {
		size_t used = strlen(text);
		bool ignored = sigaction(n, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
		if (ignored || sigismember(&blocked, n) == 1)
			snprintf(text + used, sizeof(text) - used, "%d%s%s ", n, ignored ? " ignored" : "",
				 sigismember(&blocked, n) == 1 ? " blocked" : "");
	}
	answer("%s", text);
}

static long call_number(const char *name)
{
	static const struct {
		const char *name;
		long number;
	} calls[] = {{"getppid", SYS_getppid}, {"uname", SYS_uname}, {"personality", SYS_personality}, {"chroot", SYS_chroot},
		     {"sethostname", SYS_sethostname}, {"setdomainname", SYS_setdomainname}, {"dup", SYS_dup}, {"dup2", SYS_dup2},
		     {"socket", SYS_socket}, {"kill", SYS_kill}, {"umask", SYS_umask}, {"sync", SYS_sync}, {"sched_yield", SYS_sched_yield},
		     {"getpriority", SYS_getpriority}, {"setgid", SYS_setgid}, {"setuid", SYS_setuid}, {"unshare", SYS_unshare},
		     {"getcpu", SYS_getcpu}, {"getpgid", SYS_getpgid}};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].number;
	fprintf(stderr, "no call %s\n", name);
	exit(99);
}

/* call:NAME:ARGUMENT...: in a child, so that a filter's signal is an answer as well. */
static void ask_call(const char *text)
{
	char copy[256], *save, *name;
	long args[6] = {0}, value;
	int status, pipes[2];
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", text);
	name = strtok_r(copy, ":", &save);
	for (int i = 0; i < 6; i++) {
		char *arg = strtok_r(NULL, ":", &save);
		args[i] = arg ? strtol(arg, NULL, 0) : 0;
	}
	if (pipe2(pipes, O_CLOEXEC) < 0)
		exit(98);
	pid = fork();
	if (pid == 0) {
		value = syscall(call_number(name), args[0], args[1], args[2], args[3], args[4], args[5]);
		value = value < 0 ? -errno : 0;
		_exit(write(pipes[1], &value, sizeof(value)) == sizeof(value) ? 0 : 97);
	}
	close(pipes[1]);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		answer("signal %d", WTERMSIG(status));
	} else if (read(pipes[0], &value, sizeof(value)) == sizeof(value)) {
		errno = (int)-value;
		result(value < 0 ? -1 : 0);
	}
	close(pipes[0]);
}

static void ask_mount(const char *path)
{
	long r = mount("probe", path, "tmpfs", 0, NULL);

	result(r);
	if (r == 0)
		umount(path);
}

/* hold: until the other end of stdin is closed, for somebody to look at the process from outside. */
static void ask_hold(const char *unused)
{
	char byte;

	(void)unused;
	puts("end");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void ask_exit(const char *code)
{
	fflush(stdout);
	_exit(atoi(code));
}

static void ask_signal(const char *number)
{
	fflush(stdout);
	kill(getpid(), atoi(number));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*ask)(const char *);
	} words[] = {{"uname", ask_uname}, {"read", ask_read}, {"write", ask_write}, {"text", ask_text}, {"stat", ask_stat},
		     {"mkdir", ask_mkdir}, {"create", ask_create}, {"execute", ask_execute}, {"list", ask_list}, {"size", ask_size},
		     {"cwd", ask_cwd}, {"clock", ask_clock}, {"schedule", ask_schedule}, {"personality", ask_personality},
		     {"affinity", ask_affinity}, {"keyring", ask_keyring}, {"terminal", ask_terminal}, {"descriptors", ask_descriptors},
		     {"signals", ask_signals}, {"call", ask_call}, {"mount", ask_mount}, {"hold", ask_hold}, {"exit", ask_exit},
		     {"signal", ask_signal}};

	/* A word that is none is an argument that the container was given, and seen from outside. */
	for (int i = 1; i < argc; i++) {
		size_t length = strcspn(argv[i], ":");

		word = argv[i];
		for (size_t n = 0; n < sizeof(words) / sizeof(*words); n++)
			if (strlen(words[n].name) == length && !strncmp(words[n].name, argv[i], length))
				words[n].ask(argv[i] + length + (argv[i][length] == ':'));
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
