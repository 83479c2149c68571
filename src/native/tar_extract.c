/* The policy of extraction: limits, whiteouts, what each kind of entry becomes. How names are
 * resolved is in tar_place.c. */
#include "tar_extract.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "digest.h"
#include "inflate.h"
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
	struct fb_inflate *inflate;
	struct fb_tar *tar;
	struct fb_digest digest;
	struct fb_extract_limits limits;
	struct fb_extract_result result;
	bool layer;
	struct fb_error *err;
};

/* Every byte of the unpacked stream passes here once: counted, hashed, handed to the parser. */
static ssize_t pull(void *context, const uint8_t **ret_data, struct fb_error *err)
{
	struct extract *x = context;
	uint64_t overhead = OVERHEAD_ARCHIVE + x->result.entries * OVERHEAD_ENTRY;
	ssize_t got = fb_inflate_next(x->inflate, ret_data, err);
	int r;

	if (got <= 0)
		return got;
	x->result.tar_size += (uint64_t)got;
	if (x->result.tar_size > overhead && x->result.tar_size - overhead > x->limits.max_bytes)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, EFBIG, "tar", NULL,
				    "the unpacked archive is larger than the limit");
	r = fb_inflate_is_plain(x->inflate)
		? 0
		: fb_digest_add(&x->digest, *ret_data, (size_t)got, err);
	return r < 0 ? r : got;
}

static int write_at(struct fb_place *place, int fd, const uint8_t *data, size_t length,
		    uint64_t offset)
{
	while (length) {
		ssize_t n = pwrite(fd, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return PLACE_FAIL(place, "write", errno, NULL);
		data += n;
		length -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The pieces of a plain file follow each other; those of a sparse one go where its map says, and
 * the rest stays a hole. */
static int write_data(struct extract *x, int fd, const struct fb_tar_entry *entry)
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
			int r = write_at(&x->place, fd, data, n, segment->offset + done);

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
	fb_auto_close int fd = -1;
	int r;

	if (entry->size > x->limits.max_bytes - x->result.data_size)
		return PLACE_FAIL(&x->place, "tar", EFBIG, "more file data than the limit");
	x->result.data_size += entry->size;
	r = fb_place_file(&x->place, spot, &fd);
	if (r == 0)
		r = write_data(x, fd, entry);
	if (r == 0 && entry->sparse && ftruncate(fd, (off_t)entry->real_size) < 0)
		return PLACE_FAIL(&x->place, "ftruncate", errno, NULL);
	return r < 0 ? r : fb_meta_fd(&x->place, fd, entry);
}

static int extract_link(struct extract *x, const struct fb_spot *spot,
			const struct fb_tar_entry *entry)
{
	int r;

	x->place.copied = 0;
	x->place.copy_max = x->limits.max_bytes - x->result.data_size;
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

	x->place.entry = entry->name;
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
		if (x->result.entries++ == x->limits.max_entries)
			return FB_FAIL_CODE(x->err, FB_STAGE_TAR, EFBIG, "tar", NULL,
					    "more entries than the limit");
		r = extract_entry(x, entry);
		x->place.entry = NULL;
		if (r < 0)
			return r;
	}
	return r;
}

static int run(struct extract *x, int archive_fd)
{
	int r = fb_digest_begin(&x->digest, x->err);

	if (r == 0)
		r = fb_inflate_open(archive_fd, x->limits.max_packed, &x->inflate, x->err);
	if (r == 0)
		r = fb_tar_open(pull, x, &x->tar, x->err);
	if (r == 0)
		r = extract_all(x);
	if (r == 0)
		r = fb_tar_drain(x->tar, x->err);
	if (r == 0)
		r = fb_place_finish(&x->place);
	if (r == 0)
		r = fb_inflate_packed(x->inflate, x->result.packed_digest, &x->result.packed_size,
				      x->err);
	if (r == 0 && fb_inflate_is_plain(x->inflate))
		memcpy(x->result.diff_digest, x->result.packed_digest, FB_DIGEST_SIZE);
	else if (r == 0)
		r = fb_digest_end(&x->digest, x->result.diff_digest, x->err);
	return r;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	return value ? value : otherwise;
}

int fb_extract_over(int archive_fd, int root_fd, const int *lower, size_t lower_count,
		    enum fb_extract_mode mode, const struct fb_extract_limits *limits,
		    struct fb_extract_result *ret_result, struct fb_error *err)
{
	struct extract *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "calloc", NULL, NULL);
	x->layer = mode == FB_EXTRACT_LAYER;
	x->err = err;
	x->limits.max_bytes = or_default(limits ? limits->max_bytes : 0, DEFAULT_BYTES);
	x->limits.max_packed = or_default(limits ? limits->max_packed : 0, DEFAULT_PACKED);
	x->limits.max_entries = or_default(limits ? limits->max_entries : 0, DEFAULT_ENTRIES);
	r = fb_place_open(&x->place, root_fd, x->layer, lower, lower_count, err);
	if (r == 0) {
		r = run(x, archive_fd);
		fb_place_close(&x->place);
	}
	if (r == 0 && ret_result)
		*ret_result = x->result;
	fb_tar_close(x->tar);
	fb_inflate_close(x->inflate);
	fb_digest_release(&x->digest);
	free(x);
	return r;
}

int fb_extract(int archive_fd, int root_fd, enum fb_extract_mode mode,
	       const struct fb_extract_limits *limits, struct fb_extract_result *ret_result,
	       struct fb_error *err)
{
	return fb_extract_over(archive_fd, root_fd, NULL, 0, mode, limits, ret_result, err);
}
