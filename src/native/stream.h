/* The unpacked bytes of an archive, in a ring of reused buffers: one thread reads, inflates and hashes what is packed, one hashes what
 * is unpacked, and the caller reads. A buffer is used again when all are done with it, workers too that the caller lets hold one.
 */
#ifndef FB_STREAM_H
#define FB_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "digest.h"
#include "error.h"

struct fb_watch { /* what another thread may see and say while an archive is read */
	_Atomic uint64_t packed, unpacked; /* bytes so far */
	_Atomic int stop;		   /* ECANCELED as soon as possible */
};

struct fb_stream_options {
	uint64_t max_packed;
	int copy; /* where what is read is written, too; -1: nowhere */
	bool digests;
	struct fb_watch *watch; /* or NULL */
};

struct fb_stream_result { /* digests: zero unless asked for */
	uint8_t packed_digest[FB_DIGEST_SIZE], unpacked_digest[FB_DIGEST_SIZE];
	uint64_t packed_size, unpacked_size;
};

struct fb_stream;
struct fb_piece;

/* `fd` stays the caller's, and must not be touched until the stream is closed. */
int fb_stream_open(int fd, const struct fb_stream_options *options, struct fb_stream **ret_stream,
		   struct fb_error *err);
/* Whether fb_stream_next would return at once. */
bool fb_stream_ready(struct fb_stream *stream);
/* The next piece, valid until the next call; 0: the end, all of it checked. */
ssize_t fb_stream_next(struct fb_stream *stream, const uint8_t **ret_data, struct fb_error *err);
/* The current piece stays as it is until it is released, by any thread. */
struct fb_piece *fb_stream_hold(struct fb_stream *stream);
void fb_stream_release(struct fb_piece *piece);
/* After the end. */
int fb_stream_finish(struct fb_stream *stream, struct fb_stream_result *ret_result,
		     struct fb_error *err);
/* At any time; every held piece has been released. */
void fb_stream_close(struct fb_stream *stream);

#endif
