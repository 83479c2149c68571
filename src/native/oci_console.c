/* A foreground container: its signals, its terminal, its end. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "io.h"
#include "oci_run.h"
#include "pty.h"
#include "sys.h"

#define QUIET_MS 500 /* a descriptor of the terminal may outlive the process in a pid namespace that is shared */

/* The size of the terminal that it is called on. */
static bool own_size(unsigned short *ret_rows, unsigned short *ret_columns)
{
	for (int fd = 0; fd < 3; fd++)
		if (fb_pty_size(fd, ret_rows, ret_columns) == 0)
			return true;
	return false;
}

int fb_oci_check_console(struct fb_process_spec *process, bool detach, const char *console_socket, struct fb_error *err)
{
	bool terminal = process->terminal;

	if (terminal && detach && !console_socket)
		return FB_FAIL_CODE(err, FB_STAGE_CONSOLE, EINVAL, "config", ".process.terminal",
				    "cannot allocate tty if runtime will detach without setting console socket");
	if ((!terminal || !detach) && console_socket)
		return FB_FAIL_CODE(err, FB_STAGE_CONSOLE, EINVAL, "config", ".process.terminal",
				    "cannot use console socket if runtime will not detach or allocate tty");
	/* Known before the process begins, which may ask at once. */
	if (terminal && !console_socket && !process->rows)
		own_size(&process->rows, &process->columns);
	return 0;
}

int fb_oci_send_descriptor(const char *path, int descriptor, struct fb_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	fb_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[] = "/dev/ptmx", control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {name, sizeof(name) - 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (strlen(path) >= sizeof(address.sun_path))
		return FB_FAIL_CODE(err, FB_STAGE_CONSOLE, ENAMETOOLONG, "connect", path, NULL);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return FB_FAIL(err, FB_STAGE_CONSOLE, "connect", path);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		return FB_FAIL(err, FB_STAGE_CONSOLE, "sendmsg", path);
	return 0;
}

void fb_oci_hold_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

struct relay { /* between our own terminal and the container's */
	int console;
	bool raw, input; /* input: there is still something to read */
	struct termios saved;
	char pending[4096];
	size_t start, end;
};

static void copy_size(int console)
{
	unsigned short rows, columns;

	if (own_size(&rows, &columns))
		fb_pty_resize(console, rows, columns);
}

static void relay_begin(struct relay *relay)
{
	if (relay->console < 0)
		return;
	fcntl(relay->console, F_SETFL, O_NONBLOCK);
	relay->input = true;
	relay->raw = fb_pty_raw(0, &relay->saved) == 0;
}

static void relay_end(struct relay *relay)
{
	if (relay->raw)
		fb_pty_restore(0, &relay->saved);
}

static void relay_in(struct relay *relay)
{
	ssize_t n = read(0, relay->pending, sizeof(relay->pending));

	if (n > 0) {
		relay->start = 0;
		relay->end = (size_t)n;
	} else if (n == 0 || errno != EINTR) {
		/* As a terminal would say it: end of file to whoever reads a line. */
		relay->pending[0] = 4;
		relay->start = 0;
		relay->end = relay->raw ? 0 : 1;
		relay->input = false;
	}
}

static void relay_flush(struct relay *relay)
{
	ssize_t n = write(relay->console, relay->pending + relay->start, relay->end - relay->start);

	if (n > 0)
		relay->start += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		relay->start = relay->end;
}

/* False when the terminal's other side is closed by all. */
static bool relay_out(struct relay *relay)
{
	char data[16384];
	ssize_t n = read(relay->console, data, sizeof(data));

	if (n > 0)
		(void)fb_write_all(1, data, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void forward_signals(int signals, int pidfd, const struct relay *relay)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		int number = (int)info.ssi_signo;

		if (number == SIGWINCH && relay->console >= 0)
			copy_size(relay->console);
		else if (number != SIGCHLD && number != SIGURG && number != SIGWINCH)
			fb_pidfd_send_signal(pidfd, number);
	}
}

static int exit_code(pid_t pid)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int fb_oci_wait(pid_t pid, int pidfd, int console)
{
	struct relay relay = {.console = console};
	fb_auto_close int signals = -1;
	bool open = console >= 0, over = false;
	sigset_t all;

	sigfillset(&all);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	relay_begin(&relay);
	while (!over || open) {
		bool full = relay.start < relay.end;
		struct pollfd fds[] = {
			{.fd = over ? -1 : pidfd, .events = POLLIN},
			{.fd = signals, .events = POLLIN},
			{.fd = open ? console : -1, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
			{.fd = open && relay.input && !full ? 0 : -1, .events = POLLIN},
		};
		int n = poll(fds, 4, over ? QUIET_MS : -1);

		if (over && n == 0)
			break;
		over = over || fds[0].revents;
		if (fds[1].revents)
			forward_signals(signals, pidfd, &relay);
		if (fds[2].revents & POLLOUT)
			relay_flush(&relay);
		if (fds[2].revents & ~POLLOUT)
			open = relay_out(&relay);
		if (fds[3].revents)
			relay_in(&relay);
	}
	relay_end(&relay);
	return exit_code(pid);
}
