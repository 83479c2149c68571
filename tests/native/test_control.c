/* A real supervisor, spawned, asked, killed: without a container. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "program.h"
#include "sys.h"

static char program[PATH_MAX], base[] = "/tmp/fastbox-test-control-XXXXXX", run[PATH_MAX], name[64];

static void find_program(char *self)
{
	const char *directory = getenv("FASTBOX_LIBEXEC");
	char link[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 1);

	(void)self;
	assert(n > 0);
	link[n] = '\0';
	snprintf(program, sizeof(program), "%s/fastbox-supervisor", directory ? directory : dirname(link));
}

static int spawn(bool tied)
{
	struct fb_error err = {0};
	int pid = fb_control_spawn(program, run, tied, name, sizeof(name), &err);

	if (pid < 0)
		fprintf(stderr, "%s %s: %s\n", err.call, err.path, strerror(err.code));
	assert(pid > 0);
	return pid;
}

static void wait_end(void)
{
	for (int i = 0; i < 500 && fb_control_alive(run, name); i++)
		usleep(10000);
	assert(!fb_control_alive(run, name));
}

static const char *ask(int fd, const char *text)
{
	static char answer[4096];
	int n;

	assert(fb_control_send(fd, text, strlen(text), NULL, 0, NULL) == 0);
	n = fb_control_receive(fd, answer, sizeof(answer) - 1, 5000, NULL);
	assert(n >= 0);
	answer[n] = '\0';
	return answer;
}

static void test_messages(void)
{
	static const char *const bad[] = {
		"x", "{}", "[]", "{\"op\":\"nope\"}", "{\"op\":\"wait\"}", "{\"op\":\"wait\",\"id\":\"a\",\"more\":1}",
		"{\"op\":\"kill\",\"id\":\"../a\",\"signal\":9}", "{\"op\":\"kill\",\"id\":\"a\",\"signal\":65}",
		"{\"op\":\"wait\",\"id\":\"a\\u0000b\"}", "{\"op\":\"wait\",\"id\":\"a\"}{}",
		"{\"op\":\"wait\",\"id\":\"a\"}", "{\"op\":\"exec\",\"id\":\"a\"}",
		"{\"op\":\"launch\",\"id\":\"a\",\"bundle\":\"relative\"}",
		"{\"op\":\"launch\",\"id\":\"a\",\"bundle\":\"/x\",\"streams\":[\"stdin\"]}",
		"{\"op\":\"launch\",\"id\":\"a\",\"bundle\":\"/x\",\"tied\":true}",
	};
	int pid = spawn(false), fd = fb_control_connect(run, name, NULL), file = open("/etc/passwd", O_RDONLY);
	const char *text = "{\"op\":\"attach\",\"id\":\"a\",\"streams\":[\"stdin\"]}";
	char answer[4096];

	assert(fd >= 0 && fb_control_alive(run, name) == 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert(strncmp(ask(fd, bad[i]), "{\"error\":{\"code\":", 17) == 0);
	/* A host's file is no stream. */
	assert(fb_control_send(fd, text, strlen(text), &file, 1, NULL) == 0);
	assert(fb_control_receive(fd, answer, sizeof(answer), 5000, NULL) > 0 && strstr(answer, "not a pipe"));
	assert(strcmp(ask(fd, "{\"op\":\"sync\"}"), "{\"ok\":true,\"held\":0}") == 0);
	assert(fb_control_receive(fd, answer, sizeof(answer), 20, NULL) == -ETIMEDOUT);
	assert(strcmp(ask(fd, "{\"op\":\"close\"}"), "{\"ok\":true}") == 0);
	assert(fb_control_receive(fd, answer, sizeof(answer), 5000, NULL) == 0);
	close(fd);
	close(file);
	wait_end();
	assert(fb_control_connect(run, name, NULL) == -ENOENT);
	assert(waitpid(pid, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD); /* never our child */
}

static void test_killed(void)
{
	char path[PATH_MAX * 2];
	int pid = spawn(false), exe, writable;

	/* The program's file cannot be written through a supervisor, not even when nobody executes it any more. */
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	for (int i = 0; i < 500 && fb_control_alive(run, name) != 1; i++)
		usleep(1000);
	exe = open(path, O_RDONLY | O_CLOEXEC);
	assert(exe >= 0);
	assert(kill(pid, SIGKILL) == 0);
	wait_end();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", exe);
	for (int i = 0; i < 100; i++) {
		writable = open(path, O_WRONLY | O_CLOEXEC);
		if (writable >= 0 || errno != ETXTBSY)
			break;
		usleep(10000);
	}
	assert(writable < 0 && (errno == EROFS || errno == ETXTBSY || errno == EPERM));
	close(exe);
	assert(fb_control_connect(run, name, NULL) == -ECONNREFUSED);
	snprintf(path, sizeof(path), "%s/supervisors/%s/sock", run, name);
	unlink(path);
	*strrchr(path, '/') = '\0';
	assert(rmdir(path) == 0);
}

static void test_tied(void)
{
	int ends[2];
	pid_t owner;

	assert(pipe(ends) == 0);
	owner = fork();
	if (owner == 0) {
		spawn(true);
		assert(write(ends[1], name, sizeof(name)) == (ssize_t)sizeof(name));
		pause();
	}
	assert(read(ends[0], name, sizeof(name)) == (ssize_t)sizeof(name));
	assert(fb_control_alive(run, name) == 1);
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	wait_end();
	close(ends[0]);
	close(ends[1]);
}

/* An execve leaves the process alive, and the pidfd silent: the lease is what the kernel closes then. */
static void test_lease(void)
{
	int pid = spawn(false), fd = fb_control_connect(run, name, NULL), other;

	assert(pid > 0 && fd >= 0);
	assert(strncmp(ask(fd, "{\"op\":\"lease\"}"), "{\"error\":{\"code\":22", 19) == 0);
	assert(strcmp(ask(fd, "{\"op\":\"close\"}"), "{\"ok\":true}") == 0);
	close(fd);
	wait_end();
	spawn(true);
	fd = fb_control_connect(run, name, NULL);
	other = fb_control_connect(run, name, NULL);
	assert(fd >= 0 && other >= 0);
	assert(strcmp(ask(fd, "{\"op\":\"lease\"}"), "{\"ok\":true}") == 0);
	assert(strcmp(ask(other, "{\"op\":\"sync\"}"), "{\"ok\":true,\"held\":0}") == 0);
	close(other);
	assert(strcmp(ask(fd, "{\"op\":\"sync\"}"), "{\"ok\":true,\"held\":0}") == 0);
	assert(fb_control_alive(run, name) == 1);
	close(fd);
	wait_end();
}

/* The copy is what a kernel without mount_setattr gets: sealed, and it runs. */
static void test_copy(void)
{
	char *argv[] = {program, NULL}, *envp[] = {NULL};
	int fd = fb_program_open(program, true, NULL), status;
	pid_t pid;

	assert(fd >= 0);
	assert(fcntl(fd, F_GET_SEALS) == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	assert(write(fd, "x", 1) < 0 && errno == EPERM);
	pid = fork();
	if (pid == 0) {
		fb_execveat(fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(1);
	}
	assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 126);
	close(fd);
	fd = fb_program_open(program, false, NULL);
	assert(fd >= 0);
	pid = fork();
	if (pid == 0) {
		fb_execveat(fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(1);
	}
	assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 126);
	close(fd);
	assert(fb_program_open("/nonexistent", false, NULL) == -ENOENT);
}

static void test_spawn_fails(void)
{
	char path[PATH_MAX * 2];

	assert(fb_control_spawn("/etc/passwd", run, false, name, sizeof(name), NULL) == -EACCES);
	snprintf(path, sizeof(path), "%s/supervisors", run);
	assert(rmdir(path) == 0); /* nothing left */
}

/* The attach pump: our 0 and 1 are pipes, the supervisor is the test itself. */
static void test_attach(void)
{
	int control[2], in[2], out[2], to[2], from[2];
	struct fb_attach attach = {.stderr_from = -1, .signals = true, .id = "abc"};
	char event[256], text[64];
	pid_t pid;
	int status;

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) == 0);
	assert(pipe(in) == 0 && pipe(out) == 0 && pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(to[0]);
		close(from[1]);
		close(control[1]);
		attach.control = control[0];
		attach.stdin_to = to[1];
		attach.stdout_from = from[0];
		_exit(fb_control_attach(&attach, event, sizeof(event), NULL) == FB_ATTACH_EVENT &&
				      strcmp(event, "{\"event\":\"exit\"}") == 0
			      ? 0
			      : 1);
	}
	close(in[0]);
	close(out[1]);
	close(to[1]);
	close(from[0]);
	close(control[0]);
	assert(write(in[1], "typed", 5) == 5 && read(to[0], text, sizeof(text)) == 5);
	assert(write(from[1], "shown", 5) == 5 && read(out[0], text, sizeof(text)) == 5);
	kill(pid, SIGTERM);
	status = fb_control_receive(control[1], event, sizeof(event) - 1, 5000, NULL);
	assert(status > 0);
	event[status] = '\0';
	assert(strcmp(event, "{\"op\":\"kill\",\"id\":\"abc\",\"signal\":15}") == 0);
	close(in[1]);
	assert(read(to[0], text, sizeof(text)) == 0); /* the end of our input arrives */
	fb_control_send(control[1], "{\"ok\":true}", 11, NULL, 0, NULL);
	fb_control_send(control[1], "{\"event\":\"exit\"}", 16, NULL, 0, NULL);
	assert(write(from[1], "last", 4) == 4);
	close(from[1]);
	assert(read(out[0], text, sizeof(text)) == 4);
	assert(waitpid(pid, &status, 0) == pid && status == 0);
	close(out[0]);
	close(to[0]);
	close(control[1]);
}

int main(int argc, char **argv)
{
	(void)argc;
	find_program(argv[0]);
	assert(mkdtemp(base));
	/* Longer than a socket's address can be. */
	snprintf(run, sizeof(run), "%s/%0150d", base, 0);
	test_spawn_fails();
	test_messages();
	test_killed();
	test_tied();
	test_lease();
	test_copy();
	test_attach();
	snprintf(program, sizeof(program), "rm -r '%s'", base);
	assert(system(program) == 0);
	puts("control: ok");
	return 0;
}
