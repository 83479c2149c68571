/* Small reads and writes that are whole or an error. */
#ifndef FB_IO_H
#define FB_IO_H

#include <stddef.h>
#include <sys/types.h>

#include "error.h"

/* All of `length` bytes, through EINTR and short writes. 0 or -errno. */
int fb_write_all(int fd, const void *data, size_t length);
/* Up to `size` bytes, through EINTR and short reads, to the end of the file. Bytes read, or -errno. */
ssize_t fb_read_all(int fd, void *buffer, size_t size);
/* Open (O_NOFOLLOW|O_NONBLOCK), check that it is a regular file of at most `max` bytes, read it. *ret_text is malloc'd and has a
 * NUL after its last byte. Returns the length. */
ssize_t fb_read_file(int dirfd, const char *path, size_t max, char **ret_text);
/* Write `data` to `path`.tmp and rename it over `path`, mode 0600; with `sync`, fdatasync first. */
int fb_write_file(int dirfd, const char *path, const void *data, size_t length, int sync);
/* Close every descriptor from `first` on. Allocates where close_range (5.9) is refused: not for a child in its parent's memory. */
void fb_close_from(int first);

#endif
