/* Regular files: made by the thread that resolves names, written and finished by workers, which know descriptors only, so that
 * nothing an archive says can lead them astray.
 */
#ifndef FB_TAR_FILE_H
#define FB_TAR_FILE_H

#include "pool.h"
#include "stream.h"
#include "tar_place.h"

struct fb_files; /* the files of one archive that are being written */
struct fb_file;

int fb_files_open(struct fb_stream *stream, struct fb_files **ret_files, struct fb_error *err);
/* Until all is written, or failed. */
int fb_files_drain(struct fb_files *files, struct fb_error *err);
/* Have a worker's job done here, while there is nothing better to do. False: there is none. */
bool fb_files_help(struct fb_files *files);
void fb_files_close(struct fb_files *files);

/* `fd` is the file's from here on, whatever is returned. */
int fb_file_begin(struct fb_files *files, int fd, const struct fb_tar_entry *entry, struct fb_file **ret_file,
		  struct fb_error *err);
/* Bytes of the stream's current piece. */
int fb_file_write(struct fb_file *file, const uint8_t *data, size_t length, uint64_t offset, struct fb_error *err);
/* When all writes are done: size, owner, mode and times of the entry. An entry with extended attributes is finished when this
 * returns, since they are the parser's. */
int fb_file_end(struct fb_file *file, struct fb_error *err);

#endif
