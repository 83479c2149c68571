#include "tar_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cleanup.h"
#include "thread.h"

#define WORKERS_MAX 4

struct fb_files {
	struct fb_stream *stream;
	struct fb_pool *pool;
	_Atomic int code; /* of the first failure */
	pthread_mutex_t lock;
	struct fb_error error;
};

struct chunk { /* bytes that are to be written */
	struct chunk *next;
	struct fb_piece *piece;
	const uint8_t *data;
	size_t length;
	uint64_t offset;
};

/* One worker at a time has a file: two would only wait for each other's lock on it. */
struct fb_file {
	struct fb_job job;
	struct fb_files *files;
	struct fb_tar_entry entry; /* without what is the parser's */
	int fd;
	/* With the lock held: */
	struct chunk *first, **last;
	unsigned waiting;
	bool scheduled, ended;
	char name[];
};

/* A small file is one job: its bytes, then the rest of it. */
#define CHUNKS_WAIT 2

int fb_files_open(struct fb_stream *stream, struct fb_files **ret_files, struct fb_error *err)
{
	struct fb_files *files = calloc(1, sizeof(*files));
	unsigned processors = fb_processors();
	int r;

	if (!files)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "calloc", NULL, NULL);
	files->stream = stream;
	pthread_mutex_init(&files->lock, NULL);
	/* One processor has its hands full with inflating, and who begins the jobs helps. */
	r = fb_pool_open(processors > WORKERS_MAX ? WORKERS_MAX : processors > 1 ? processors - 1 : 1,
			 &files->pool, err);
	if (r < 0)
		fb_files_close(files);
	else
		*ret_files = files;
	return r;
}

static int outcome(struct fb_files *files, struct fb_error *err)
{
	if (files->code == 0)
		return 0;
	pthread_mutex_lock(&files->lock);
	*err = files->error;
	pthread_mutex_unlock(&files->lock);
	return files->code;
}

int fb_files_drain(struct fb_files *files, struct fb_error *err)
{
	fb_pool_drain(files->pool);
	return outcome(files, err);
}

bool fb_files_help(struct fb_files *files)
{
	return fb_pool_help(files->pool);
}

void fb_files_close(struct fb_files *files)
{
	if (!files)
		return;
	fb_pool_close(files->pool);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

static void fail(struct fb_files *files, int code, const struct fb_error *err)
{
	pthread_mutex_lock(&files->lock);
	if (files->code == 0) {
		files->error = *err;
		files->code = code;
	}
	pthread_mutex_unlock(&files->lock);
}

static int write_chunk(const struct fb_file *file, const struct chunk *chunk,
		       const struct fb_blame *blame)
{
	size_t done = 0;

	while (done < chunk->length) {
		ssize_t n = pwrite(file->fd, chunk->data + done, chunk->length - done,
				   (off_t)(chunk->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return BLAME_FAIL(blame, "write", errno, NULL);
		done += (size_t)n;
	}
	return 0;
}

static int finish(const struct fb_file *file, const struct fb_blame *blame)
{
	if (file->entry.sparse && ftruncate(file->fd, (off_t)file->entry.real_size) < 0)
		return BLAME_FAIL(blame, "ftruncate", errno, NULL);
	return fb_meta_fd(blame, file->fd, &file->entry);
}

/* With the lock held. */
static struct chunk *take(struct fb_file *file)
{
	struct chunk *chunk = file->first;

	if (chunk) {
		file->first = chunk->next;
		if (!file->first)
			file->last = &file->first;
		file->waiting--;
	} else {
		file->scheduled = false;
	}
	return chunk;
}

static void run_file(struct fb_job *job)
{
	struct fb_file *file = (struct fb_file *)job;
	struct fb_files *files = file->files;
	struct fb_error err;
	const struct fb_blame blame = {file->name, &err};
	struct chunk *chunk;
	bool ended;
	int r = 0;

	pthread_mutex_lock(&files->lock);
	while ((chunk = take(file))) {
		pthread_mutex_unlock(&files->lock);
		if (r == 0 && files->code == 0) /* else it is all for nothing */
			r = write_chunk(file, chunk, &blame);
		fb_stream_release(chunk->piece);
		free(chunk);
		pthread_mutex_lock(&files->lock);
	}
	ended = file->ended; /* if not, who begins chunks owns it again */
	pthread_mutex_unlock(&files->lock);
	if (r == 0 && ended && files->code == 0)
		r = finish(file, &blame);
	if (r < 0)
		fail(files, r, &err);
	if (ended) {
		close(file->fd);
		free(file);
	}
}

int fb_file_begin(struct fb_files *files, int fd, const struct fb_tar_entry *entry,
		  struct fb_file **ret_file, struct fb_error *err)
{
	size_t length = strlen(entry->name) + 1;
	int r = outcome(files, err);
	struct fb_file *file = r == 0 ? calloc(1, sizeof(*file) + length) : NULL;

	if (!file) {
		close(fd);
		return r < 0 ? r : FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "calloc", NULL, NULL);
	}
	file->job.run = run_file;
	file->files = files;
	file->entry = *entry;
	file->entry.segments = NULL;
	file->entry.segment_count = 0;
	file->fd = fd;
	file->last = &file->first;
	memcpy(file->name, entry->name, length);
	*ret_file = file;
	return 0;
}

/* The file is not to be touched after its end. */
static void schedule(struct fb_file *file, struct chunk *chunk, bool end)
{
	struct fb_files *files = file->files;
	bool submit;

	pthread_mutex_lock(&files->lock);
	if (chunk) {
		*file->last = chunk;
		file->last = &chunk->next;
		file->waiting++;
	}
	file->ended = end;
	submit = !file->scheduled && (end || file->waiting >= CHUNKS_WAIT);
	file->scheduled = file->scheduled || submit;
	pthread_mutex_unlock(&files->lock);
	if (submit)
		fb_pool_submit(files->pool, &file->job);
}

int fb_file_write(struct fb_file *file, const uint8_t *data, size_t length, uint64_t offset,
		  struct fb_error *err)
{
	int r = outcome(file->files, err); /* else a large file is read to its end for nothing */
	struct chunk *chunk;

	if (r < 0)
		return r;
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "malloc", NULL, NULL);
	*chunk = (struct chunk){
	    .piece = fb_stream_hold(file->files->stream),
	    .data = data,
	    .length = length,
	    .offset = offset,
	};
	schedule(file, chunk, false);
	return 0;
}

int fb_file_end(struct fb_file *file, struct fb_error *err)
{
	struct fb_files *files = file->files;
	bool has_xattrs = file->entry.xattr_count > 0;

	schedule(file, NULL, true);
	if (has_xattrs)
		fb_pool_drain(files->pool);
	return outcome(files, err);
}
