/* Regular files: data, and the holes between it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup.h"
#include "tar_writer.h"

/* File systems tell holes by their own blocks: only what is a hole by blocks of this size is one
 * here, so that the same file has the same map everywhere. */
#define HOLE ((uint64_t)64 << 10)

static int add_segment(struct fb_writer *writer, size_t *count, uint64_t offset, uint64_t length)
{
	if (*count == writer->segment_room) {
		size_t room = writer->segment_room ? writer->segment_room * 2 : 64;
		struct fb_tar_segment *grown =
		    realloc(writer->segments, room * sizeof(*writer->segments));

		if (!grown)
			return WRITE_FAIL(writer, ENOMEM, "malloc", NULL);
		writer->segments = grown;
		writer->segment_room = room;
	}
	writer->segments[(*count)++] = (struct fb_tar_segment){offset, length};
	return 0;
}

/* The hole that begins at `at` or behind it, cut to whole blocks. False: none before the end. */
static bool next_hole(int fd, uint64_t at, uint64_t size, uint64_t *ret_begin, uint64_t *ret_end)
{
	while (at < size) {
		off_t begin = lseek(fd, (off_t)at, SEEK_HOLE), end;

		if (begin < 0 || (uint64_t)begin >= size)
			return false;
		end = lseek(fd, begin, SEEK_DATA);
		if (end < 0 && errno != ENXIO)
			return false;
		if (end < 0 || (uint64_t)end > size)
			end = (off_t)size;
		*ret_begin = ((uint64_t)begin + HOLE - 1) & ~(HOLE - 1);
		*ret_end = (uint64_t)end == size ? size : (uint64_t)end & ~(HOLE - 1);
		if (*ret_end > *ret_begin)
			return true;
		at = end > begin ? (uint64_t)end : (uint64_t)begin + HOLE;
	}
	return false;
}

/* The pieces of data between holes, or none at all: not sparse, or in more pieces than a reader
 * takes. A map ends where the file does, with an empty piece after a hole. */
static int find_holes(struct fb_writer *writer, int fd, uint64_t size, size_t *ret_count)
{
	uint64_t at = 0, begin, end;
	bool sparse = false;
	size_t count = 0;
	int r = 0;

	while (next_hole(fd, at, size, &begin, &end)) {
		sparse = true;
		if (begin > at)
			r = add_segment(writer, &count, at, begin - at);
		if (r < 0 || count + 2 > FB_TAR_SPARSE_MAX)
			return r;
		at = end;
	}
	if (sparse)
		r = add_segment(writer, &count, at, size - at);
	if (r == 0)
		*ret_count = count;
	return r;
}

/* What is missing at the end, since the file is shorter by now, is zeros. */
static int copy(struct fb_writer *writer, int fd, uint64_t at, uint64_t length)
{
	while (length) {
		uint8_t *to;
		size_t room;
		ssize_t got;
		int r = fb_pack_room(writer->pack, &to, &room, writer->err);

		if (r < 0)
			return r;
		got = pread(fd, to, room < length ? room : (size_t)length, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return WRITE_FAIL(writer, errno, "read", NULL);
		if (got == 0)
			return fb_emit_zeros(writer->pack, length, writer->err);
		fb_pack_filled(writer->pack, (size_t)got);
		at += (uint64_t)got;
		length -= (uint64_t)got;
	}
	return 0;
}

/* Reading is not using: the time of access stays, where the kernel lets us. */
static int open_data(int held)
{
	struct fb_held_path path = fb_held_path(held);
	int fd = open(path.text, O_RDONLY | O_NOATIME | O_CLOEXEC);

	return fd < 0 && errno == EPERM ? open(path.text, O_RDONLY | O_CLOEXEC) : fd;
}

int fb_writer_file(struct fb_writer *writer, int held, struct fb_tar_entry *entry)
{
	fb_auto_close int fd = -1;
	size_t count = 0;
	int r = 0;

	if (entry->size == 0)
		return fb_writer_emit(writer, entry);
	fd = open_data(held);
	if (fd < 0)
		return WRITE_FAIL(writer, errno, "open", NULL);
	if (entry->size >= HOLE)
		r = find_holes(writer, fd, entry->size, &count);
	entry->real_size = entry->size;
	if (count) {
		entry->sparse = true;
		entry->segments = writer->segments;
		entry->segment_count = count;
		entry->size = 0;
		for (size_t i = 0; i < count; i++)
			entry->size += entry->segments[i].length;
	}
	if (r == 0)
		r = fb_writer_emit(writer, entry);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = copy(writer, fd, writer->segments[i].offset, writer->segments[i].length);
	if (r == 0 && !count)
		r = copy(writer, fd, 0, entry->size);
	return r < 0 ? r : fb_emit_padding(writer->pack, entry->size, writer->err);
}
