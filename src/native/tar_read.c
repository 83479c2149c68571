#include <stdlib.h>
#include <string.h>

#include "tar_parse.h"

/* At least one byte in the piece: 1; the end of the stream: 0. */
static int more(struct fb_tar *tar, struct fb_error *err)
{
	ssize_t got;

	if (tar->piece_left)
		return 1;
	got = tar->pull(tar->context, &tar->piece, err);
	if (got < 0)
		return (int)got;
	tar->piece_left = (size_t)got;
	return got > 0;
}

/* Exactly `length` bytes, to `to` or to nowhere. */
int fb_tar_take(struct fb_tar *tar, void *to, uint64_t length, struct fb_error *err)
{
	uint8_t *at = to;

	while (length) {
		int r = more(tar, err);
		size_t n = tar->piece_left < length ? tar->piece_left : (size_t)length;

		if (r < 0)
			return r;
		if (r == 0)
			return BAD(err, EBADMSG, tar->entry.name, "the archive is cut short");
		if (at) {
			memcpy(at, tar->piece, n);
			at += n;
		}
		tar->piece += n;
		tar->piece_left -= n;
		length -= n;
	}
	return 0;
}

static bool all_zero(const uint8_t block[FB_TAR_BLOCK])
{
	static const uint8_t zero[FB_TAR_BLOCK];

	return memcmp(block, zero, FB_TAR_BLOCK) == 0;
}

/* 1: a header; 0: the end marker; the stream may not end any other way. */
static int next_header(struct fb_tar *tar, struct fb_error *err)
{
	bool first = tar->first;
	int r;

	tar->entry.name = NULL;
	tar->first = false;
	r = fb_tar_take(tar, tar->block, FB_TAR_BLOCK, err);
	if (r < 0)
		return r;
	if (all_zero(tar->block)) {
		r = fb_tar_take(tar, tar->block, FB_TAR_BLOCK, err);
		if (r < 0)
			return r;
		if (!all_zero(tar->block))
			return BAD(err, EBADMSG, NULL, "one zero block where two end an archive");
		if (tar->pending)
			return BAD(err, EBADMSG, NULL, "an extended header without its entry");
		tar->ended = true;
		return 0;
	}
	if (!fb_tar_checksum_fits(tar->block))
		return BAD(err, EBADMSG, NULL,
			   first ? "not a tar archive, neither plain nor packed by gzip or zstd"
				 : "the checksum of a header is wrong");
	return 1;
}

/* The data of an extended header, whole, in tar->meta. */
static int read_meta(struct fb_tar *tar, struct fb_error *err)
{
	uint64_t size = 0;
	int r = fb_tar_header_size(tar, &size, err);

	if (r < 0)
		return r;
	if (size > FB_TAR_META_MAX)
		return BAD(err, EFBIG, NULL, "an extended header or a name of more than 1 MiB");
	if (size >= tar->meta.room) {
		char *grown = realloc(tar->meta.text, size + 1);

		if (!grown)
			return BAD(err, ENOMEM, NULL, NULL);
		tar->meta.text = grown;
		tar->meta.room = size + 1;
	}
	r = fb_tar_take(tar, tar->meta.text, size, err);
	if (r == 0)
		r = fb_tar_take(tar, NULL, fb_tar_padding(size), err);
	tar->meta.text[size] = '\0';
	tar->meta.length = size;
	return r;
}

static int read_pax(struct fb_tar *tar, struct fb_pax *pax, bool global, struct fb_error *err)
{
	const char *detail;
	int r = read_meta(tar, err);

	if (r < 0)
		return r;
	if (!global)
		fb_pax_reset(pax); /* a second local header replaces the first, as in Go */
	r = fb_pax_parse(pax, tar->meta.text, tar->meta.length, global, &detail);
	return r < 0 ? BAD(err, -r, NULL, detail) : 0;
}

static int read_long(struct fb_tar *tar, struct fb_tar_text *text, bool *has, struct fb_error *err)
{
	int r = read_meta(tar, err);

	if (r < 0)
		return r;
	*has = true;
	if (fb_tar_set_text(text, tar->meta.text, strlen(tar->meta.text)) < 0)
		return BAD(err, ENOMEM, NULL, NULL);
	return 0;
}

static int skip_volume_label(struct fb_tar *tar, struct fb_error *err)
{
	uint64_t size = 0;
	int r = fb_tar_header_size(tar, &size, err);

	return r < 0 ? r : fb_tar_take(tar, NULL, size + fb_tar_padding(size), err);
}

static int begin_entry(struct fb_tar *tar, struct fb_error *err)
{
	int r = fb_tar_take(tar, NULL, tar->data_left, err);

	if (r == 0)
		r = fb_tar_take(tar, NULL, tar->padding, err);
	tar->data_left = tar->padding = 0;
	tar->entry = (struct fb_tar_entry){0};
	tar->has_long_name = tar->has_long_link = tar->pending = false;
	fb_pax_reset(&tar->local);
	return r;
}

int fb_tar_next(struct fb_tar *tar, const struct fb_tar_entry **ret_entry, struct fb_error *err)
{
	int r = tar->ended ? 0 : begin_entry(tar, err);

	while (r == 0 && !tar->ended) {
		r = next_header(tar, err);
		if (r <= 0)
			break;
		switch (tar->block[FB_TAR_TYPE_AT]) {
		case 'x':
		case 'X':
			r = read_pax(tar, &tar->local, false, err);
			break;
		case 'g':
			r = read_pax(tar, &tar->global, true, err);
			continue; /* it may be the last header of all */
		case 'L':
			r = read_long(tar, &tar->long_name, &tar->has_long_name, err);
			break;
		case 'K':
			r = read_long(tar, &tar->long_link, &tar->has_long_link, err);
			break;
		case 'V':
			r = skip_volume_label(tar, err);
			continue;
		default:
			r = fb_tar_fill_entry(tar, err);
			if (r == 1)
				*ret_entry = &tar->entry;
		}
		tar->pending = true;
	}
	return r;
}

ssize_t fb_tar_data(struct fb_tar *tar, const uint8_t **ret_data, struct fb_error *err)
{
	size_t n;
	int r;

	if (tar->data_left == 0)
		return 0;
	r = more(tar, err);
	if (r < 0)
		return r;
	if (r == 0)
		return BAD(err, EBADMSG, tar->entry.name, "the archive is cut short");
	n = tar->piece_left < tar->data_left ? tar->piece_left : (size_t)tar->data_left;
	*ret_data = tar->piece;
	tar->piece += n;
	tar->piece_left -= n;
	tar->data_left -= n;
	return (ssize_t)n;
}

int fb_tar_drain(struct fb_tar *tar, struct fb_error *err)
{
	int r;

	do {
		tar->piece_left = 0;
		r = more(tar, err);
	} while (r > 0);
	return r;
}

int fb_tar_open(fb_tar_pull pull, void *context, struct fb_tar **ret_tar, struct fb_error *err)
{
	struct fb_tar *tar = calloc(1, sizeof(*tar));

	if (!tar)
		return BAD(err, ENOMEM, NULL, NULL);
	tar->pull = pull;
	tar->context = context;
	tar->first = true;
	*ret_tar = tar;
	return 0;
}

void fb_tar_close(struct fb_tar *tar)
{
	if (!tar)
		return;
	fb_pax_free(&tar->local);
	fb_pax_free(&tar->global);
	free(tar->name.text);
	free(tar->link.text);
	free(tar->long_name.text);
	free(tar->long_link.text);
	free(tar->meta.text);
	free(tar);
}
