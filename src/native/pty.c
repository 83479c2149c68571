#include "pty.h"

#include <errno.h>
#include <sys/ioctl.h>

int fb_pty_resize(int fd, unsigned short rows, unsigned short columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};

	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int fb_pty_size(int fd, unsigned short *ret_rows, unsigned short *ret_columns)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return -errno;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return 0;
}

int fb_pty_raw(int fd, struct termios *ret_saved)
{
	struct termios saved, raw;

	if (tcgetattr(fd, &saved) < 0)
		return -errno;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	/* TCSANOW: what the user typed ahead is the container's, not to be thrown away. */
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return -errno;
	*ret_saved = saved;
	return 0;
}

int fb_pty_restore(int fd, const struct termios *saved)
{
	return tcsetattr(fd, TCSANOW, saved) < 0 ? -errno : 0;
}
