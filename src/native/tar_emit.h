/* One entry after another into a tar: ustar (POSIX.1-1988) where it fits, else pax records before
 * the header. The inverse of tar_read.h, which reads all that this writes.
 */
#ifndef FB_TAR_EMIT_H
#define FB_TAR_EMIT_H

#include "pack.h"
#include "tar_read.h"

/* name, link, type, mode, uid, gid, major, minor, mtime, xattrs, and for files size; for sparse
 * ones real_size and segments, too. The rest is not looked at. A directory's name ends in "/".
 * EFBIG: more extended attributes than a reader takes. */
int fb_emit_header(struct fb_pack *pack, const struct fb_tar_entry *entry, struct fb_error *err);
/* Zeros. */
int fb_emit_zeros(struct fb_pack *pack, uint64_t count, struct fb_error *err);
/* To the next block, after `size` bytes of data. */
int fb_emit_padding(struct fb_pack *pack, uint64_t size, struct fb_error *err);
/* The end marker. */
int fb_emit_end(struct fb_pack *pack, struct fb_error *err);

#endif
