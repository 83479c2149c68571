/* Terminals: the size of a window, and the raw mode of the user's own. */
#ifndef FB_PTY_H
#define FB_PTY_H

#include <termios.h>

/* 0 or -errno. */
int fb_pty_resize(int fd, unsigned short rows, unsigned short columns);
int fb_pty_size(int fd, unsigned short *ret_rows, unsigned short *ret_columns);
/* Every byte as it is typed, none interpreted; what was before is put into `ret_saved`. */
int fb_pty_raw(int fd, struct termios *ret_saved);
int fb_pty_restore(int fd, const struct termios *saved);

#endif
