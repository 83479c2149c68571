/* A stream of bytes into a descriptor, as it is, as gzip or as zstd, with the digests and sizes of
 * both sides.
 *
 * The same bytes give the same output, on every run and whatever the number of threads: the input
 * is cut into blocks of a fixed size, each is compressed for itself, and the results follow each
 * other in one gzip member (RFC 1952; no name, no time) or one zstd frame (RFC 8878).
 */
#ifndef FB_PACK_H
#define FB_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "error.h"

enum fb_packing { FB_PACK_NONE, FB_PACK_GZIP, FB_PACK_ZSTD };

#define FB_PACK_THREADS_MAX 8

struct fb_pack_result {
	uint8_t diff_digest[FB_DIGEST_SIZE];   /* sha256 of what came in */
	uint8_t packed_digest[FB_DIGEST_SIZE]; /* sha256 of what was written */
	uint64_t size, packed_size;
};

struct fb_pack;

/* `threads` 0: one for each processor that this process may use, FB_PACK_THREADS_MAX at most. The
 * descriptor stays the caller's. Under 64 MB in all. */
int fb_pack_open(int fd, enum fb_packing packing, unsigned threads, struct fb_pack **ret_pack,
		 struct fb_error *err);
int fb_pack_write(struct fb_pack *pack, const void *data, size_t length, struct fb_error *err);
/* Where the next bytes may be put without a copy: room for `*ret_room` of them, at least one.
 * fb_pack_filled says how many were put there. */
int fb_pack_room(struct fb_pack *pack, uint8_t **ret_to, size_t *ret_room, struct fb_error *err);
void fb_pack_filled(struct fb_pack *pack, size_t length);
/* The end of the stream. fb_pack_close is still due. */
int fb_pack_end(struct fb_pack *pack, struct fb_pack_result *ret_result, struct fb_error *err);
void fb_pack_close(struct fb_pack *pack);

static inline void fb_cleanup_pack(struct fb_pack **pack)
{
	fb_pack_close(*pack);
	*pack = NULL;
}
#define fb_auto_pack __attribute__((cleanup(fb_cleanup_pack)))

#endif
