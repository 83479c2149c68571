/* The bytes of a stream that may be plain, gzip or zstd, told apart by its first bytes, with the
 * digest of what was read.
 *
 * gzip: any number of members, CRC and length of each verified; zero bytes after the last one are
 * padding (tape blocks, old uploads), anything else there is refused, as Go's reader and so docker
 * refuses it. zstd: any number of frames, skippable ones included, with a window of at most 128
 * MiB, which is what the format's own tool accepts unasked.
 */
#ifndef FB_INFLATE_H
#define FB_INFLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "digest.h"
#include "error.h"

struct fb_inflate;

struct fb_inflate_options {
	uint64_t max_packed;	 /* more bytes of input are EFBIG */
	int copy;		 /* where what is read is written, too; -1: nowhere */
	const _Atomic int *stop; /* or NULL; once it is true, ECANCELED, soon even if no input comes */
};

/* `fd` stays the caller's. */
int fb_inflate_open(int fd, const struct fb_inflate_options *options,
		    struct fb_inflate **ret_inflate, struct fb_error *err);
/* At most `room` of the next bytes. 0: the end, reached only after the whole input was read and
 * every check passed. */
ssize_t fb_inflate_read(struct fb_inflate *inflate, uint8_t *to, size_t room, struct fb_error *err);
/* The input is the output, so nobody needs its digest twice: it is not computed here. */
bool fb_inflate_is_plain(const struct fb_inflate *inflate);
/* Bytes of input read so far. */
uint64_t fb_inflate_taken(const struct fb_inflate *inflate);
/* After the end, of what is not plain: sha256 of the input. */
void fb_inflate_packed(struct fb_inflate *inflate, uint8_t ret_digest[FB_DIGEST_SIZE]);
void fb_inflate_close(struct fb_inflate *inflate);

#endif
