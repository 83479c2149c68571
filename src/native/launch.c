#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "child.h"
#include "cleanup.h"
#include "clone.h"
#include "io.h"

int fb_launch(const struct fb_launch_request *request, struct fb_launched *ret_launched, struct fb_error *err)
{
	struct fb_launched launched = {.pid = -1, .pidfd = -1, .console = -1};
	struct fb_plan plan;
	int r;

	launched.clocks.begin = fb_now();
	r = fb_plan_build(request, &plan, err);
	if (r < 0)
		return r;
	launched.clocks.at[FB_STAGE_PLAN] = fb_now();
	r = fb_clone(&plan, &launched, err);
	fb_plan_free(&plan);
	if (r == 0)
		*ret_launched = launched;
	return r;
}

/* Docker's table: 127 is a command that is not there, 126 one that can't be run, 125 everything of ours. */
int fb_launch_exit_code(const struct fb_error *err)
{
	if (err->stage != FB_STAGE_EXEC)
		return 125;
	return err->code == ENOENT || err->code == ENOTDIR ? 127 : 126;
}

/* The process answers with its error, or with nothing when exec closed the connection. */
int fb_launch_start(int directory, const char *name, struct fb_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	fb_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fb_error answer = {0};
	ssize_t n;

	/* The directory's own path may be longer than an address. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_START, errno, fd < 0 ? "socket" : "connect", name,
				    "no process waits for its start");
	n = fb_read_all(fd, &answer, sizeof(answer));
	if (n == 0)
		return 0;
	if (n != sizeof(answer) || answer.code <= 0)
		return FB_FAIL_CODE(err, FB_STAGE_START, EPROTO, "read", name, "the waiting process is of another version");
	*err = answer;
	return -answer.code;
}
