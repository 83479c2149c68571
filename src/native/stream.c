#include "stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "inflate.h"
#include "thread.h"

/* 8 MiB: as much as one side may be ahead of the other. Reused, since a fresh page costs more to fault in than to fill. */
#define PIECE_SIZE ((size_t)256 << 10)
#define PIECES 32

struct fb_piece {
	struct fb_stream *stream;
	uint8_t *data;
	size_t length;
	unsigned users;
};

struct fb_stream {
	struct fb_inflate *inflate;
	struct fb_digest digest; /* of what is unpacked */
	struct fb_stream_options options;
	pthread_mutex_t lock;
	pthread_cond_t filled, freed;
	/* How many pieces each has come to; piece n lies in slot n % PIECES. With the lock held: */
	uint64_t fill, hash, next;
	bool current; /* the reader has piece `next` - 1 */
	bool end;     /* no piece follows: all is read, or `code` */
	bool closing;
	int code;
	struct fb_error error;
	uint64_t unpacked;
	pthread_t filler, hasher;
	bool filler_runs, hasher_runs;
	uint8_t *memory;
	struct fb_piece pieces[PIECES];
};

/* With the lock held. */
static void drop(struct fb_stream *s, struct fb_piece *piece)
{
	if (--piece->users == 0)
		pthread_cond_signal(&s->freed);
}

/* A whole piece where the input has as much: the others then wait for each other less often. */
static ssize_t inflate_piece(struct fb_stream *s, struct fb_piece *piece, struct fb_error *err)
{
	size_t length = 0;

	while (length < PIECE_SIZE) {
		ssize_t got =
		    fb_inflate_read(s->inflate, piece->data + length, PIECE_SIZE - length, err);

		if (got < 0)
			return got;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

static void note(struct fb_stream *s, size_t length)
{
	struct fb_watch *watch = s->options.watch;

	s->unpacked += length;
	if (watch) {
		watch->packed = fb_inflate_taken(s->inflate);
		watch->unpacked = s->unpacked;
	}
}

/* The free slot, or NULL: nobody wants more. */
static struct fb_piece *wait_for_room(struct fb_stream *s)
{
	struct fb_piece *piece;

	pthread_mutex_lock(&s->lock);
	piece = &s->pieces[s->fill % PIECES];
	while (piece->users && !s->closing)
		pthread_cond_wait(&s->freed, &s->lock);
	if (s->closing)
		piece = NULL;
	pthread_mutex_unlock(&s->lock);
	return piece;
}

static void *fill(void *argument)
{
	struct fb_stream *s = argument;
	struct fb_error err;
	struct fb_piece *piece;

	while ((piece = wait_for_room(s))) {
		ssize_t got = inflate_piece(s, piece, &err);

		if (got > 0)
			note(s, (size_t)got);
		pthread_mutex_lock(&s->lock);
		if (got < 0) {
			s->code = (int)got;
			s->error = err;
		} else if (got > 0) {
			piece->length = (size_t)got;
			piece->users = s->hasher_runs ? 2 : 1;
			s->fill++;
		}
		s->end = got <= 0;
		pthread_cond_broadcast(&s->filled);
		pthread_mutex_unlock(&s->lock);
		if (s->end)
			break;
	}
	return NULL;
}

static void *hash(void *argument)
{
	struct fb_stream *s = argument;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct fb_piece *piece = &s->pieces[s->hash % PIECES];

		while (s->hash == s->fill && !s->end && !s->closing)
			pthread_cond_wait(&s->filled, &s->lock);
		if (s->hash == s->fill || s->closing)
			break;
		pthread_mutex_unlock(&s->lock);
		fb_digest_add(&s->digest, piece->data, piece->length);
		pthread_mutex_lock(&s->lock);
		s->hash++;
		drop(s, piece);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int start(struct fb_stream *s, int fd, struct fb_error *err)
{
	const struct fb_inflate_options options = {
	    .max_packed = s->options.max_packed,
	    .copy = s->options.copy,
	    .stop = s->options.watch ? &s->options.watch->stop : NULL,
	};
	int r = fb_inflate_open(fd, &options, &s->inflate, err);

	if (r < 0)
		return r;
	fb_digest_begin(&s->digest);
	s->memory = malloc(PIECES * PIECE_SIZE);
	if (!s->memory)
		return FB_FAIL_CODE(err, FB_STAGE_INFLATE, ENOMEM, "malloc", NULL, NULL);
	for (int i = 0; i < PIECES; i++) {
		s->pieces[i].stream = s;
		s->pieces[i].data = s->memory + (size_t)i * PIECE_SIZE;
	}
	if (s->options.digests) {
		r = fb_thread_start(&s->hasher, hash, s);
		s->hasher_runs = r == 0;
	}
	if (r == 0) {
		r = fb_thread_start(&s->filler, fill, s);
		s->filler_runs = r == 0;
	}
	return r ? FB_FAIL_CODE(err, FB_STAGE_INFLATE, r, "pthread_create", NULL, NULL) : 0;
}

int fb_stream_open(int fd, const struct fb_stream_options *options, struct fb_stream **ret_stream,
		   struct fb_error *err)
{
	struct fb_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return FB_FAIL_CODE(err, FB_STAGE_INFLATE, ENOMEM, "calloc", NULL, NULL);
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->filled, NULL);
	pthread_cond_init(&s->freed, NULL);
	r = start(s, fd, err);
	if (r < 0)
		fb_stream_close(s);
	else
		*ret_stream = s;
	return r;
}

bool fb_stream_ready(struct fb_stream *s)
{
	bool ready;

	pthread_mutex_lock(&s->lock);
	ready = s->next < s->fill || s->end;
	pthread_mutex_unlock(&s->lock);
	return ready;
}

ssize_t fb_stream_next(struct fb_stream *s, const uint8_t **ret_data, struct fb_error *err)
{
	struct fb_piece *piece = NULL;
	ssize_t got = 0;

	pthread_mutex_lock(&s->lock);
	if (s->current)
		drop(s, &s->pieces[(s->next - 1) % PIECES]);
	s->current = false;
	while (s->next == s->fill && !s->end)
		pthread_cond_wait(&s->filled, &s->lock);
	if (s->next < s->fill) {
		piece = &s->pieces[s->next++ % PIECES];
		s->current = true;
		*ret_data = piece->data;
		got = (ssize_t)piece->length;
	} else if (s->code < 0) {
		*err = s->error;
		got = s->code;
	}
	pthread_mutex_unlock(&s->lock);
	return got;
}

struct fb_piece *fb_stream_hold(struct fb_stream *s)
{
	struct fb_piece *piece = &s->pieces[(s->next - 1) % PIECES];

	pthread_mutex_lock(&s->lock);
	piece->users++;
	pthread_mutex_unlock(&s->lock);
	return piece;
}

void fb_stream_release(struct fb_piece *piece)
{
	struct fb_stream *s = piece->stream;

	pthread_mutex_lock(&s->lock);
	drop(s, piece);
	pthread_mutex_unlock(&s->lock);
}

static void join(struct fb_stream *s)
{
	if (s->filler_runs)
		pthread_join(s->filler, NULL);
	if (s->hasher_runs)
		pthread_join(s->hasher, NULL);
	s->filler_runs = s->hasher_runs = false;
}

int fb_stream_finish(struct fb_stream *s, struct fb_stream_result *ret_result,
		     struct fb_error *err)
{
	struct fb_stream_result result = {.unpacked_size = s->unpacked};

	join(s);
	if (s->code < 0) {
		*err = s->error;
		return s->code;
	}
	result.packed_size = fb_inflate_taken(s->inflate);
	if (s->options.digests) {
		fb_digest_end(&s->digest, result.unpacked_digest);
		if (fb_inflate_is_plain(s->inflate))
			memcpy(result.packed_digest, result.unpacked_digest, FB_DIGEST_SIZE);
		else
			fb_inflate_packed(s->inflate, result.packed_digest);
	}
	*ret_result = result;
	return 0;
}

void fb_stream_close(struct fb_stream *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->freed);
	pthread_cond_broadcast(&s->filled);
	pthread_mutex_unlock(&s->lock);
	join(s);
	fb_inflate_close(s->inflate);
	pthread_cond_destroy(&s->freed);
	pthread_cond_destroy(&s->filled);
	pthread_mutex_destroy(&s->lock);
	free(s->memory);
	free(s);
}
