/* The policy of extraction: limits, whiteouts, what each kind of entry becomes. How names are
 * resolved is in tar_place.c. */
#include "tar_extract.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "stream.h"
#include "tar_file.h"
#include "tar_place.h"
#include "tar_read.h"

#define DEFAULT_BYTES ((uint64_t)256 << 30)
#define DEFAULT_PACKED ((uint64_t)256 << 30)
#define DEFAULT_ENTRIES ((uint64_t)10000000)
/* What is not file data: headers and padding of an entry, and for the whole archive long names,
 * extended headers and what follows the end marker. */
#define OVERHEAD_ENTRY 4096
#define OVERHEAD_ARCHIVE ((uint64_t)1 << 30)

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct extract {
	struct fb_place place;
	struct fb_stream *stream;
	struct fb_files *files;
	struct fb_tar *tar;
	struct fb_extract_options options;
	struct fb_extract_result result;
	bool layer;
	struct fb_error *err;
};

/* Every byte of the unpacked stream passes here once: counted, handed to the parser. */
static ssize_t pull(void *context, const uint8_t **ret_data, struct fb_error *err)
{
	struct extract *x = context;
	uint64_t overhead = OVERHEAD_ARCHIVE + x->result.entries * OVERHEAD_ENTRY;
	ssize_t got;

	while (!fb_stream_ready(x->stream) && fb_files_help(x->files))
		;
	got = fb_stream_next(x->stream, ret_data, err);
	if (got <= 0)
		return got;
	x->result.tar_size += (uint64_t)got;
	if (x->result.tar_size > overhead &&
	    x->result.tar_size - overhead > x->options.limits.max_bytes)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, EFBIG, "tar", NULL,
				    "the unpacked archive is larger than the limit");
	return got;
}

/* The pieces of a plain file follow each other; those of a sparse one go where its map says, and
 * the rest stays a hole. */
static int write_data(struct extract *x, struct fb_file *file, const struct fb_tar_entry *entry)
{
	const struct fb_tar_segment whole = {0, entry->size};
	const struct fb_tar_segment *segment = entry->sparse ? entry->segments : &whole;
	uint64_t done = 0; /* of the segment */

	for (;;) {
		const uint8_t *data;
		ssize_t got = fb_tar_data(x->tar, &data, x->err);

		if (got <= 0)
			return (int)got;
		while (got) {
			uint64_t room = segment->length - done;
			size_t n = (uint64_t)got < room ? (size_t)got : (size_t)room;
			int r = fb_file_write(file, data, n, segment->offset + done, x->err);

			if (r < 0)
				return r;
			data += n;
			got -= (ssize_t)n;
			done += n;
			if (done == segment->length && entry->sparse)
				segment++,
				    done = 0; /* the map was checked to hold exactly the data */
		}
	}
}

static int extract_file(struct extract *x, const struct fb_spot *spot,
			const struct fb_tar_entry *entry)
{
	struct fb_error ignored;
	struct fb_file *file;
	int fd, r;

	if (entry->size > x->options.limits.max_bytes - x->result.data_size)
		return PLACE_FAIL(&x->place, "tar", EFBIG, "more file data than the limit");
	x->result.data_size += entry->size;
	r = fb_place_file(&x->place, spot, entry->mode & 0777, &fd);
	if (r == 0)
		r = fb_file_begin(x->files, fd, entry, &file, x->err);
	if (r < 0)
		return r;
	r = write_data(x, file, entry);
	if (r == 0)
		return fb_file_end(file, x->err);
	fb_file_end(file, &ignored);
	return r;
}

static int extract_link(struct extract *x, const struct fb_spot *spot,
			const struct fb_tar_entry *entry)
{
	int r;

	x->place.copied = 0;
	x->place.copy_max = x->options.limits.max_bytes - x->result.data_size;
	r = fb_place_link(&x->place, spot, entry->link);
	x->result.data_size += x->place.copied;
	return r;
}

static int extract_plain(struct extract *x, const struct fb_spot *spot,
			 const struct fb_tar_entry *entry)
{
	if (entry->type == FB_TAR_DIRECTORY)
		return fb_place_directory(&x->place, spot, entry);
	if (fb_spot_is_root(spot))
		return PLACE_FAIL(&x->place, "tar", EXDEV, "the root can only be a directory");
	switch (entry->type) {
	case FB_TAR_FILE:
		return extract_file(x, spot, entry);
	case FB_TAR_LINK:
		return extract_link(x, spot, entry);
	case FB_TAR_SYMLINK:
		return fb_place_symlink(&x->place, spot, entry);
	default:
		return fb_place_node(&x->place, spot, entry);
	}
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Any component of the path that begins with `prefix`. */
static bool path_has(const char *path, const char *prefix)
{
	for (; path; path = strchr(path, '/'), path = path ? path + 1 : NULL)
		if (has_prefix(path, prefix))
			return true;
	return false;
}

static int extract_whiteout(struct extract *x, struct fb_spot *spot)
{
	const char *hidden = spot->leaf + strlen(WHITEOUT);

	if (*hidden == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return PLACE_FAIL(&x->place, "tar", EINVAL, "a whiteout of no name");
	memmove(spot->leaf, hidden, strlen(hidden) + 1);
	return fb_place_whiteout(&x->place, spot);
}

static int extract_opaque(struct extract *x, struct fb_spot *spot)
{
	char *slash = strrchr(spot->parent, '/');
	const char *name = slash ? slash + 1 : spot->parent;

	memmove(spot->leaf, name, strlen(name) + 1);
	*(slash ? slash : spot->parent) = '\0';
	return fb_place_opaque(&x->place, spot);
}

static int extract_entry(struct extract *x, const struct fb_tar_entry *entry)
{
	struct fb_spot spot;
	int r;

	x->place.blame.entry = entry->name;
	r = fb_place_spot(&x->place, entry->name, &spot);
	if (r < 0)
		return r;
	if (!x->layer)
		return extract_plain(x, &spot, entry);
	/* aufs's own bookkeeping (.wh..wh.plnk, .wh..wh.aufs) was never meant for others. */
	if (path_has(spot.parent, WHITEOUT_META))
		return 0;
	if (path_has(spot.parent, WHITEOUT))
		return PLACE_FAIL(&x->place, "tar", EINVAL, "an entry below a whiteout");
	if (strcmp(spot.leaf, WHITEOUT_OPAQUE) == 0)
		return extract_opaque(x, &spot);
	if (has_prefix(spot.leaf, WHITEOUT_META))
		return 0;
	if (has_prefix(spot.leaf, WHITEOUT))
		return extract_whiteout(x, &spot);
	return extract_plain(x, &spot, entry);
}

static int extract_all(struct extract *x)
{
	const struct fb_tar_entry *entry;
	int r;

	while ((r = fb_tar_next(x->tar, &entry, x->err)) > 0) {
		if (x->result.entries++ == x->options.limits.max_entries)
			return FB_FAIL_CODE(x->err, FB_STAGE_TAR, EFBIG, "tar", NULL,
					    "more entries than the limit");
		r = extract_entry(x, entry);
		x->place.blame.entry = NULL;
		if (r < 0)
			return r;
	}
	return r;
}

static int run(struct extract *x, int archive_fd)
{
	const struct fb_stream_options options = {
	    .max_packed = x->options.limits.max_packed,
	    .copy = x->options.copy,
	    .digests = !x->options.no_digests,
	    .watch = x->options.watch,
	};
	int r = fb_stream_open(archive_fd, &options, &x->stream, x->err);

	if (r == 0)
		r = fb_files_open(x->stream, &x->files, x->err);
	if (r == 0)
		r = fb_tar_open(pull, x, &x->tar, x->err);
	if (r == 0)
		r = extract_all(x);
	if (r == 0)
		r = fb_tar_drain(x->tar, x->err);
	if (r == 0)
		r = fb_files_drain(x->files, x->err);
	if (r == 0)
		r = fb_place_finish(&x->place);
	return r;
}

static int take_digests(struct extract *x)
{
	struct fb_stream_result read;
	int r = fb_stream_finish(x->stream, &read, x->err);

	if (r < 0)
		return r;
	memcpy(x->result.packed_digest, read.packed_digest, FB_DIGEST_SIZE);
	memcpy(x->result.diff_digest, read.unpacked_digest, FB_DIGEST_SIZE);
	x->result.packed_size = read.packed_size;
	return 0;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	return value ? value : otherwise;
}

int fb_extract(int archive_fd, int root_fd, const struct fb_extract_options *options,
	       struct fb_extract_result *ret_result, struct fb_error *err)
{
	struct extract *x = calloc(1, sizeof(*x));
	struct fb_extract_limits *limits;
	int r;

	if (!x)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "calloc", NULL, NULL);
	x->options = *options;
	x->layer = options->mode == FB_EXTRACT_LAYER;
	x->err = err;
	limits = &x->options.limits;
	limits->max_bytes = or_default(limits->max_bytes, DEFAULT_BYTES);
	limits->max_packed = or_default(limits->max_packed, DEFAULT_PACKED);
	limits->max_entries = or_default(limits->max_entries, DEFAULT_ENTRIES);
	r = fb_place_open(&x->place, root_fd, &x->options, err);
	if (r == 0) {
		r = run(x, archive_fd);
		if (r == 0)
			r = take_digests(x);
		/* In this order: workers hold pieces of the stream. */
		fb_files_close(x->files);
		fb_stream_close(x->stream);
		fb_place_close(&x->place);
	}
	if (r == 0 && ret_result)
		*ret_result = x->result;
	fb_tar_close(x->tar);
	free(x);
	return r;
}
