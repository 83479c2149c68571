#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "child.h"
#include "cleanup.h"
#include "sys.h"

struct run {
	pid_t pid;
	int pidfd;
	int output;   /* what it writes to stdout and stderr */
	char text[80]; /* the beginning of that, for the error */
	size_t length;
};

/* In the new process. The hook gets three descriptors and no signal that is blocked or ignored. */
static void execute(const struct fb_hook *hook, int state, int output)
{
	char *const alone[] = {(char *)(uintptr_t)hook->path, NULL}, *const none[] = {NULL};
	uint64_t mask = 0;

	if (dup2(state, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0 && fb_child_close_from(3, 1024) == 0) {
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
		execve(hook->path, hook->args.count ? hook->args.items : alone,
		       hook->env.count ? hook->env.items : none);
	}
	_exit(errno == ENOENT ? 127 : 126);
}

static int spawn(const struct fb_hook *hook, int state, struct run *run, struct fb_error *err)
{
	struct clone_args args = {.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
				  .pidfd = (uint64_t)(uintptr_t)&run->pidfd,
				  .exit_signal = SIGCHLD};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return FB_FAIL(err, FB_STAGE_HOOK, "pipe2", hook->path);
	/* Each reads the state from its beginning; they share one offset, and run one after the other. */
	(void)lseek(state, 0, SEEK_SET);
	run->pid = fb_clone3(&args);
	if (run->pid < 0 && (errno == ENOSYS || errno == EPERM || errno == E2BIG))
		run->pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &run->pidfd, NULL, NULL);
	if (run->pid == 0)
		execute(hook, state, ends[1]);
	close(ends[1]);
	run->output = ends[0];
	return run->pid < 0 ? FB_FAIL(err, FB_STAGE_HOOK, "clone", hook->path) : 0;
}

/* Its first words are kept, and the rest is read so that it is not stopped. Control bytes would break the error's one line. */
static void drain(struct run *run)
{
	char buffer[512];
	ssize_t n;

	while ((n = read(run->output, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n && run->length < sizeof(run->text) - 1; i++)
			run->text[run->length++] = buffer[i] >= ' ' && buffer[i] != 127 ? buffer[i] : ' ';
	if (n == 0)
		fb_cleanup_fd(&run->output);
	while (run->length && run->text[run->length - 1] == ' ')
		run->length--;
	run->text[run->length] = '\0';
}

/* Until it has ended or its time is over (then it is killed): its status, or -ETIMEDOUT. */
static int await(const struct fb_hook *hook, struct run *run)
{
	uint64_t deadline = fb_now() + hook->timeout * 1000000000ull;
	siginfo_t info = {0};
	int result = 0;

	for (;;) {
		struct pollfd fds[2] = {{.fd = run->pidfd, .events = POLLIN}, {.fd = run->output, .events = POLLIN}};
		uint64_t now = fb_now();
		int left = !hook->timeout ? -1 : now >= deadline ? 0 : (int)((deadline - now) / 1000000 + 1);
		int n = poll(fds, 2, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (fds[1].revents)
			drain(run);
		if (n > 0 && !fds[0].revents)
			continue;
		if (n <= 0) {
			kill(run->pid, SIGKILL);
			result = -ETIMEDOUT;
		}
		break;
	}
	while (waitid(P_PID, (id_t)run->pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	if (result < 0)
		return result;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

/* "exit status 9: its first words"; by hand, since the child of a clone may not format. */
static const char *describe(struct run *run, int status, char text[static 96])
{
	static const char words[] = "exit status ";
	char digits[4], *at = mempcpy(text, words, sizeof(words) - 1);
	size_t count = 0;

	do
		digits[count++] = (char)('0' + status % 10);
	while (status /= 10);
	while (count)
		*at++ = digits[--count];
	if (run->length) {
		at = mempcpy(at, ": ", 2);
		at = mempcpy(at, run->text, run->length > 76 ? 76 : run->length);
	}
	*at = '\0';
	return text;
}

static int run_one(const struct fb_hook *hook, int state, struct fb_error *err)
{
	struct run run = {.pid = -1, .pidfd = -1, .output = -1};
	char text[96];
	int r = spawn(hook, state, &run, err);

	if (r == 0) {
		r = await(hook, &run);
		if (r == -ETIMEDOUT)
			r = FB_FAIL_CODE(err, FB_STAGE_HOOK, ETIMEDOUT, "hook", hook->path, "ran out of its time and was killed");
		else if (r == 127 && !run.length)
			r = FB_FAIL_CODE(err, FB_STAGE_HOOK, ENOENT, "hook", hook->path, NULL);
		else if (r)
			r = FB_FAIL_CODE(err, FB_STAGE_HOOK, ECANCELED, "hook", hook->path, describe(&run, r, text));
	}
	fb_cleanup_fd(&run.pidfd);
	fb_cleanup_fd(&run.output);
	return r;
}

int fb_hook_run(const struct fb_hooks *hooks, int state, struct fb_error *err)
{
	for (size_t i = 0; i < hooks->count; i++) {
		int r = run_one(&hooks->items[i], state, err);

		if (r < 0)
			return r;
	}
	return 0;
}
