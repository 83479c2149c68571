/* The digests of many files of one tree, by several threads. */
#ifndef FB_FILE_DIGEST_H
#define FB_FILE_DIGEST_H

#include <stddef.h>

#include "digest.h"
#include "error.h"

struct fb_file_digest {
	uint8_t digest[FB_DIGEST_SIZE]; /* SHA-256 */
	uint64_t size;
	int64_t mtime_ns, ctime_ns; /* as they were before the file was read and after it */
};

/* Of each regular file below `root`, in the order of the paths (as held.h wants them); each thread has one file open. `digests` has room
 * for all, and means nothing after a failure. Besides the errors of opening and reading: ELOOP, a link; EINVAL, neither a file nor a
 * plain path; ESTALE, a file that changes whenever it is read. */
int fb_digest_files(int root, const char *const *paths, size_t count, unsigned threads, struct fb_file_digest *digests,
		    struct fb_error *err);

#endif
