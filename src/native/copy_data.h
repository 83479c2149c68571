/* One file's data to another, by the cheapest way that the two file systems have. */
#ifndef FB_COPY_DATA_H
#define FB_COPY_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "error.h"

/* Less on disk than it is long. */
bool fb_has_holes(const struct stat *st);

/* Makes `to`, an empty file, hold what `from` holds: shared blocks (FICLONE) where both lie on a file system that can, else
 * copied within the kernel, holes kept as holes. What grows meanwhile is copied up to the size it had. */
int fb_copy_data(int from, int to, uint64_t *ret_size, struct fb_error *err);

#endif
