/* A ring of blocks between who fills them and who compresses them: the caller fills the next, a
 * worker takes the oldest that nobody has, and the caller writes them out in order. The digests are
 * the caller's work, so that they see the bytes in order. */
#include "pack.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zstd.h>

#include "cleanup.h"
#include "io.h"
#include "thread.h"

#define BLOCK ((size_t)1 << 20)
/* Deflate stores what it can't make smaller: 5 bytes for each 64 KiB, and the flush. */
#define PACKED_ROOM (BLOCK + BLOCK / 128 + 4096)
#define SLOTS_MAX (FB_PACK_THREADS_MAX + 2)
/* Measured on programs and their texts: level 2 gives 1.13 times gzip -6's size at twenty times its
 * speed; level 3 1.11 times the size at half of level 2's speed. */
#define GZIP_LEVEL 2
#define GZIP_LEVEL_ROOM ISAL_DEF_LVL2_DEFAULT
#define ZSTD_LEVEL 3
#define ZSTD_JOB (2 << 20)
#define ZSTD_WORKERS_MAX 4

#define FAIL(code, call, detail) FB_FAIL_CODE(err, FB_STAGE_PACK, (code), (call), NULL, (detail))

struct slot {
	uint8_t *in, *out;
	size_t length, packed;
	bool last, done;
	int code; /* of the compressor, 0: well */
};

struct fb_pack {
	int fd;
	enum fb_packing packing;
	struct fb_digest diff, packed;
	uint64_t size, packed_size;
	uint32_t crc;
	struct slot slots[SLOTS_MAX];
	size_t slot_count;
	/* Counts of blocks since the beginning: filled >= taken >= written. */
	uint64_t filled, taken, written;
	uint8_t *level; /* ISA-L's tables, of the caller */
	ZSTD_CCtx *zstd;
	pthread_t threads[FB_PACK_THREADS_MAX];
	unsigned thread_count;
	pthread_mutex_t lock;
	pthread_cond_t work, ready;
	bool ending;
};

/* ID, deflate, no flags, no time, no hint, made on Unix. */
static const uint8_t gzip_header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};

static int emit(struct fb_pack *pack, const void *data, size_t length, struct fb_error *err)
{
	int r = fb_write_all(pack->fd, data, length);

	if (r < 0)
		return FAIL(-r, "write", NULL);
	pack->packed_size += length;
	if (pack->packing != FB_PACK_NONE)
		fb_digest_add(&pack->packed, data, length);
	return 0;
}

/* A block ends on a byte and refers to nothing before it. */
static void deflate_block(struct slot *slot, uint8_t *level)
{
	struct isal_zstream stream;
	int r;

	isal_deflate_init(&stream);
	stream.level = GZIP_LEVEL;
	stream.level_buf = level;
	stream.level_buf_size = GZIP_LEVEL_ROOM;
	stream.flush = slot->last ? NO_FLUSH : FULL_FLUSH;
	stream.end_of_stream = slot->last;
	stream.next_in = slot->in;
	stream.avail_in = (uint32_t)slot->length;
	stream.next_out = slot->out;
	stream.avail_out = (uint32_t)PACKED_ROOM;
	r = isal_deflate(&stream);
	slot->packed = stream.total_out;
	slot->code = r != COMP_OK || stream.avail_in || !stream.avail_out ? EIO : 0;
}

static void *work(void *context)
{
	struct fb_pack *pack = context;
	fb_auto_free uint8_t *level = malloc(GZIP_LEVEL_ROOM);

	pthread_mutex_lock(&pack->lock);
	for (;;) {
		struct slot *slot;

		while (!pack->ending && pack->taken == pack->filled)
			pthread_cond_wait(&pack->work, &pack->lock);
		if (pack->ending)
			break;
		slot = &pack->slots[pack->taken++ % pack->slot_count];
		pthread_mutex_unlock(&pack->lock);
		if (level)
			deflate_block(slot, level);
		else
			slot->code = ENOMEM;
		pthread_mutex_lock(&pack->lock);
		slot->done = true;
		pthread_cond_signal(&pack->ready);
	}
	pthread_mutex_unlock(&pack->lock);
	return NULL;
}

/* Fewer than wanted are fine: with none, the caller does the work. */
static void start_threads(struct fb_pack *pack, unsigned wanted)
{
	while (pack->thread_count < wanted &&
	       fb_thread_start(&pack->threads[pack->thread_count], work, pack) == 0)
		pack->thread_count++;
}

static int open_gzip(struct fb_pack *pack, unsigned threads, struct fb_error *err)
{
	pack->level = malloc(GZIP_LEVEL_ROOM);
	if (!pack->level)
		return FAIL(ENOMEM, "malloc", NULL);
	if (threads > 1)
		start_threads(pack, threads);
	return emit(pack, gzip_header, sizeof(gzip_header), err);
}

/* With workers zstd cuts the input by the size of a job, so that their number changes nothing; one
 * that was built without them works in one piece. */
static int open_zstd(struct fb_pack *pack, unsigned threads, struct fb_error *err)
{
	unsigned workers = threads < ZSTD_WORKERS_MAX ? threads : ZSTD_WORKERS_MAX;

	pack->zstd = ZSTD_createCCtx();
	if (!pack->zstd)
		return FAIL(ENOMEM, "ZSTD_createCCtx", NULL);
	if (ZSTD_isError(
		ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_checksumFlag, 1)))
		return FAIL(EINVAL, "ZSTD_CCtx_setParameter", NULL);
	if (!ZSTD_isError(ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_nbWorkers, (int)workers)))
		(void)ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_jobSize, ZSTD_JOB);
	return 0;
}

static int make_slots(struct fb_pack *pack, struct fb_error *err)
{
	for (size_t i = 0; i < pack->slot_count; i++) {
		pack->slots[i].in = malloc(BLOCK);
		if (pack->packing != FB_PACK_NONE)
			pack->slots[i].out = malloc(PACKED_ROOM);
		if (!pack->slots[i].in || (pack->packing != FB_PACK_NONE && !pack->slots[i].out))
			return FAIL(ENOMEM, "malloc", NULL);
	}
	return 0;
}

int fb_pack_open(int fd, enum fb_packing packing, unsigned threads, struct fb_pack **ret_pack,
		 struct fb_error *err)
{
	fb_auto_pack struct fb_pack *pack = calloc(1, sizeof(*pack));
	int r;

	if (!pack)
		return FAIL(ENOMEM, "malloc", NULL);
	pthread_mutex_init(&pack->lock, NULL);
	pthread_cond_init(&pack->work, NULL);
	pthread_cond_init(&pack->ready, NULL);
	if (threads == 0)
		threads = fb_processors();
	if (threads > FB_PACK_THREADS_MAX)
		threads = FB_PACK_THREADS_MAX;
	pack->fd = fd;
	pack->packing = packing;
	pack->slot_count = packing == FB_PACK_GZIP && threads > 1 ? threads + 2 : 1;
	r = make_slots(pack, err);
	fb_digest_begin(&pack->diff);
	fb_digest_begin(&pack->packed);
	if (r == 0 && packing == FB_PACK_GZIP)
		r = open_gzip(pack, threads, err);
	if (r == 0 && packing == FB_PACK_ZSTD)
		r = open_zstd(pack, threads, err);
	if (r < 0)
		return r;
	*ret_pack = pack;
	pack = NULL;
	return 0;
}

/* The oldest block, once it is compressed. */
static int write_oldest(struct fb_pack *pack, struct fb_error *err)
{
	struct slot *slot = &pack->slots[pack->written % pack->slot_count];

	pthread_mutex_lock(&pack->lock);
	while (!slot->done)
		pthread_cond_wait(&pack->ready, &pack->lock);
	pthread_mutex_unlock(&pack->lock);
	pack->written++;
	if (slot->code)
		return FAIL(slot->code, "isal_deflate", NULL);
	return emit(pack, slot->out, slot->packed, err);
}

static int send_gzip(struct fb_pack *pack, struct slot *slot, struct fb_error *err)
{
	int r = 0;

	pack->crc = crc32_gzip_refl(pack->crc, slot->in, slot->length);
	if (!pack->thread_count) {
		deflate_block(slot, pack->level);
		slot->done = true;
		pack->filled++;
		return write_oldest(pack, err);
	}
	pthread_mutex_lock(&pack->lock);
	slot->done = false;
	pack->filled++;
	pthread_cond_signal(&pack->work);
	pthread_mutex_unlock(&pack->lock);
	while (r == 0 && pack->filled - pack->written >= (slot->last ? 1 : pack->slot_count))
		r = write_oldest(pack, err);
	return r;
}

static int send_zstd(struct fb_pack *pack, struct slot *slot, struct fb_error *err)
{
	ZSTD_inBuffer in = {.src = slot->in, .size = slot->length};
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = slot->out, .size = PACKED_ROOM};
		int r;

		left = ZSTD_compressStream2(pack->zstd, &out, &in,
					    slot->last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return FAIL(EIO, "ZSTD_compressStream2", ZSTD_getErrorName(left));
		r = emit(pack, slot->out, out.pos, err);
		if (r < 0)
			return r;
	} while (slot->last ? left != 0 : in.pos < in.size);
	return 0;
}

/* A whole block, or the last one. */
static int send_block(struct fb_pack *pack, bool last, struct fb_error *err)
{
	struct slot *slot = &pack->slots[pack->filled % pack->slot_count];
	int r;

	fb_digest_add(&pack->diff, slot->in, slot->length);
	slot->last = last;
	pack->size += slot->length;
	if (pack->packing == FB_PACK_GZIP)
		r = send_gzip(pack, slot, err);
	else
		r = pack->packing == FB_PACK_ZSTD ? send_zstd(pack, slot, err)
						  : emit(pack, slot->in, slot->length, err);
	pack->slots[pack->filled % pack->slot_count].length = 0;
	return r;
}

int fb_pack_room(struct fb_pack *pack, uint8_t **ret_to, size_t *ret_room, struct fb_error *err)
{
	struct slot *slot = &pack->slots[pack->filled % pack->slot_count];

	if (slot->length == BLOCK) {
		int r = send_block(pack, false, err);

		if (r < 0)
			return r;
		slot = &pack->slots[pack->filled % pack->slot_count];
	}
	*ret_to = slot->in + slot->length;
	*ret_room = BLOCK - slot->length;
	return 0;
}

void fb_pack_filled(struct fb_pack *pack, size_t length)
{
	pack->slots[pack->filled % pack->slot_count].length += length;
}

int fb_pack_write(struct fb_pack *pack, const void *data, size_t length, struct fb_error *err)
{
	const uint8_t *from = data;

	while (length) {
		size_t room;
		uint8_t *to;
		int r = fb_pack_room(pack, &to, &room, err);

		if (r < 0)
			return r;
		if (room > length)
			room = length;
		memcpy(to, from, room);
		fb_pack_filled(pack, room);
		from += room;
		length -= room;
	}
	return 0;
}

static int end_gzip(struct fb_pack *pack, struct fb_error *err)
{
	uint32_t tail[2] = {pack->crc, (uint32_t)pack->size};
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(tail[i / 4] >> 8 * (i % 4));
	return emit(pack, bytes, sizeof(bytes), err);
}

int fb_pack_end(struct fb_pack *pack, struct fb_pack_result *ret_result, struct fb_error *err)
{
	struct fb_pack_result result;
	int r = send_block(pack, true, err);

	if (r == 0 && pack->packing == FB_PACK_GZIP)
		r = end_gzip(pack, err);
	if (r < 0)
		return r;
	fb_digest_end(&pack->diff, result.diff_digest);
	if (pack->packing == FB_PACK_NONE)
		memcpy(result.packed_digest, result.diff_digest, FB_DIGEST_SIZE);
	else
		fb_digest_end(&pack->packed, result.packed_digest);
	result.size = pack->size;
	result.packed_size = pack->packed_size;
	*ret_result = result;
	return 0;
}

void fb_pack_close(struct fb_pack *pack)
{
	if (!pack)
		return;
	pthread_mutex_lock(&pack->lock);
	pack->ending = true;
	pthread_cond_broadcast(&pack->work);
	pthread_mutex_unlock(&pack->lock);
	for (unsigned i = 0; i < pack->thread_count; i++)
		pthread_join(pack->threads[i], NULL);
	for (size_t i = 0; i < pack->slot_count; i++) {
		free(pack->slots[i].in);
		free(pack->slots[i].out);
	}
	pthread_mutex_destroy(&pack->lock);
	pthread_cond_destroy(&pack->work);
	pthread_cond_destroy(&pack->ready);
	ZSTD_freeCCtx(pack->zstd);
	free(pack->level);
	free(pack);
}
