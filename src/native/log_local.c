/* docker's local driver: a record is its size (4 bytes, big-endian), a protobuf message LogEntry, and its size again, so that a file can be
 * read from either end:
 *
 *   1 source: string   2 time_nano: int64   3 line: bytes   4 partial: bool   5 {1 last: bool  2 id: string  3 ordinal: int32}
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_driver.h"

#define OVERHEAD ((size_t)160)

static char *varint(char *to, uint64_t value)
{
	while (value >= 0x80) {
		*to++ = (char)(value | 0x80);
		value >>= 7;
	}
	*to++ = (char)value;
	return to;
}

static char *bytes(char *to, unsigned field, const char *data, size_t length)
{
	to = varint(to, field << 3 | 2);
	to = varint(to, length);
	memcpy(to, data, length);
	return to + length;
}

static char *number(char *to, unsigned field, uint64_t value)
{
	/* What is zero is not written. */
	return value ? varint(varint(to, field << 3), value) : to;
}

static void put_size(char *to, size_t size)
{
	for (int i = 0; i < 4; i++)
		to[i] = (char)(size >> (24 - 8 * i));
}

static size_t get_size(const unsigned char *from)
{
	return (size_t)from[0] << 24 | (size_t)from[1] << 16 | (size_t)from[2] << 8 | from[3];
}

static int put(struct fb_log *log, const struct fb_log_entry *entry)
{
	char *start = fb_log_file_room(log, entry->length + OVERHEAD), *at = start + 4;
	uint64_t when = (uint64_t)entry->when.tv_sec * 1000000000 + (uint64_t)entry->when.tv_nsec;

	at = bytes(at, 1, entry->stream == 1 ? "stdout" : "stderr", 6);
	at = number(at, 2, when);
	at = bytes(at, 3, entry->text, entry->length);
	if (entry->partial) {
		char inner[96], *to = inner;

		to = number(to, 1, entry->ended);
		to = bytes(to, 2, entry->partial->id, 64);
		to = number(to, 3, entry->partial->pieces);
		at = number(at, 4, 1);
		at = bytes(at, 5, inner, (size_t)(to - inner));
	}
	put_size(start, (size_t)(at - start) - 4);
	put_size(at, (size_t)(at - start) - 4);
	fb_log_file_commit(log, (size_t)(at - start) + 4);
	return 0;
}

static bool ends_whole(const struct fb_log *log)
{
	unsigned char size[4];
	uint64_t length;

	if (!log->size)
		return true;
	if (log->size < 8 || pread(log->fd, size, 4, (off_t)log->size - 4) != 4)
		return false;
	length = get_size(size);
	return length && length + 8 <= log->size && pread(log->fd, size, 4, (off_t)(log->size - length - 8)) == 4 &&
	       get_size(size) == length;
}

/* A record that a killed writer left unfinished is cut off: the records before it are found from the beginning. */
static int cut(struct fb_log *log)
{
	unsigned char size[4];
	uint64_t at = 0, next;

	while (pread(log->fd, size, 4, (off_t)at) == 4) {
		next = at + 8 + get_size(size);
		if (next == at + 8 || next > log->size || pread(log->fd, size, 4, (off_t)next - 4) != 4 ||
		    next - at - 8 != get_size(size))
			break;
		at = next;
	}
	if (ftruncate(log->fd, (off_t)at) < 0)
		return -errno;
	log->size = at;
	return 0;
}

int fb_log_local_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	static const struct fb_log_ops ops = {.put = put, .flush = fb_log_file_flush};
	int r = fb_log_file_open(log, spec, err);

	if (r < 0)
		return r;
	if (!ends_whole(log) && (r = cut(log)) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, -r, "ftruncate", spec->path, "the container's log");
	log->ops = &ops;
	return 0;
}
