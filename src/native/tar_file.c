#include "tar_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cleanup.h"

#define WORKERS_MAX 4

struct fb_files {
	struct fb_stream *stream;
	struct fb_pool *pool;
	_Atomic int code; /* of the first failure */
	pthread_mutex_t lock;
	struct fb_error error;
};

struct fb_file {
	struct fb_files *files;
	struct fb_tar_entry entry; /* without what is the parser's */
	int fd;
	_Atomic unsigned users; /* writes that are not done, and who begins them */
	_Atomic bool failed;
	char name[];
};

struct write_job {
	struct fb_job job;
	struct fb_file *file;
	struct fb_piece *piece;
	const uint8_t *data;
	size_t length;
	uint64_t offset;
};

int fb_files_open(struct fb_stream *stream, struct fb_files **ret_files, struct fb_error *err)
{
	struct fb_files *files = calloc(1, sizeof(*files));
	unsigned processors = fb_pool_processors();
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

static void fail(struct fb_file *file, int code, const struct fb_error *err)
{
	struct fb_files *files = file->files;

	file->failed = true;
	pthread_mutex_lock(&files->lock);
	if (files->code == 0) {
		files->error = *err;
		files->code = code;
	}
	pthread_mutex_unlock(&files->lock);
}

static int finish(struct fb_file *file, const struct fb_blame *blame)
{
	if (file->entry.sparse && ftruncate(file->fd, (off_t)file->entry.real_size) < 0)
		return BLAME_FAIL(blame, "ftruncate", errno, NULL);
	return fb_meta_fd(blame, file->fd, &file->entry);
}

/* Who is last finishes the file. */
static void drop(struct fb_file *file)
{
	struct fb_error err;
	int r;

	if (atomic_fetch_sub(&file->users, 1) != 1)
		return;
	if (!file->failed && file->files->code == 0) {
		r = finish(file, &(struct fb_blame){file->name, &err});
		if (r < 0)
			fail(file, r, &err);
	}
	close(file->fd);
	free(file);
}

static int write_at(const struct write_job *job, const struct fb_blame *blame)
{
	size_t done = 0;

	while (done < job->length) {
		ssize_t n = pwrite(job->file->fd, job->data + done, job->length - done,
				   (off_t)(job->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return BLAME_FAIL(blame, "write", errno, NULL);
		done += (size_t)n;
	}
	return 0;
}

static void run_write(struct fb_job *base)
{
	struct write_job *job = (struct write_job *)base;
	struct fb_file *file = job->file;
	struct fb_error err;

	if (file->files->code == 0) { /* else it is all for nothing */
		int r = write_at(job, &(struct fb_blame){file->name, &err});

		if (r < 0)
			fail(file, r, &err);
	}
	fb_stream_release(job->piece);
	free(job);
	drop(file);
}

int fb_file_begin(struct fb_files *files, int fd, const struct fb_tar_entry *entry,
		  struct fb_file **ret_file, struct fb_error *err)
{
	size_t length = strlen(entry->name) + 1;
	struct fb_file *file;
	int r = outcome(files, err);

	file = r == 0 ? malloc(sizeof(*file) + length) : NULL;
	if (!file) {
		close(fd);
		return r < 0 ? r
			     : FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "malloc", NULL, NULL);
	}
	file->files = files;
	file->entry = *entry;
	file->entry.segments = NULL;
	file->entry.segment_count = 0;
	file->fd = fd;
	atomic_init(&file->users, 1);
	atomic_init(&file->failed, false);
	memcpy(file->name, entry->name, length);
	*ret_file = file;
	return 0;
}

int fb_file_write(struct fb_file *file, const uint8_t *data, size_t length, uint64_t offset,
		  struct fb_error *err)
{
	struct write_job *job = malloc(sizeof(*job));

	if (!job)
		return FB_FAIL_CODE(err, FB_STAGE_TAR, ENOMEM, "malloc", NULL, NULL);
	*job = (struct write_job){
	    .job = {.run = run_write},
	    .file = file,
	    .piece = fb_stream_hold(file->files->stream),
	    .data = data,
	    .length = length,
	    .offset = offset,
	};
	atomic_fetch_add(&file->users, 1);
	fb_pool_submit(file->files->pool, &job->job);
	return 0;
}

int fb_file_end(struct fb_file *file, struct fb_error *err)
{
	struct fb_files *files = file->files;

	if (file->entry.xattr_count)
		fb_pool_drain(files->pool);
	drop(file);
	return outcome(files, err);
}
