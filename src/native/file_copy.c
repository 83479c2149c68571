#include "file_copy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file_put.h"
#include "links.h"
#include "share.h"

struct copying {
	int source, target;
	const struct fb_copy_entry *entries;
	size_t count;
	struct todo {
		bool skip;
		const char *first; /* the path of the same file, which is copied already or about to be */
	} *todo;
	_Atomic uint64_t done, bytes;
	pthread_mutex_t lock;
	struct fb_links links; /* with the lock held: the first target of each file with several names */
};

static void cleanup_copying(struct copying *copying)
{
	fb_links_free(&copying->links);
	pthread_mutex_destroy(&copying->lock);
	free(copying->todo);
}
#define auto_copying __attribute__((cleanup(cleanup_copying)))

static bool is_directory(const struct fb_copy_entry *entry)
{
	return entry->kind == S_IFDIR;
}

static int by_target(const void *a, const void *b)
{
	const struct fb_copy_entry *left = *(const struct fb_copy_entry *const *)a, *right = *(const struct fb_copy_entry *const *)b;
	int order = strcmp(left->target, right->target);

	return order ? order : left < right ? -1 : left > right;
}

static bool is_sorted(const struct fb_copy_entry *entries, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (strcmp(entries[i - 1].target, entries[i].target) >= 0)
			return false;
	return true;
}

/* Threads keep no order: which of two entries with one target counts is settled before. A directory that comes last is made before
 * everything else. */
static int skip_replaced(struct copying *copying, struct fb_error *err)
{
	fb_auto_free const struct fb_copy_entry **sorted = NULL;

	if (is_sorted(copying->entries, copying->count))
		return 0;
	sorted = calloc(copying->count, sizeof(*sorted));
	if (!sorted)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, ENOMEM, "calloc", NULL, NULL);
	for (size_t i = 0; i < copying->count; i++)
		sorted[i] = &copying->entries[i];
	qsort(sorted, copying->count, sizeof(*sorted), by_target);
	for (size_t i = 1; i < copying->count; i++)
		if (!is_directory(sorted[i - 1]) && strcmp(sorted[i - 1]->target, sorted[i]->target) == 0)
			copying->todo[sorted[i - 1] - copying->entries].skip = true;
	return 0;
}

/* Whether the file was met before: then it gets a name more when all threads are done. */
static int note_link(struct copying *copying, size_t index, const struct stat *st, struct fb_error *err)
{
	const char *first = NULL;
	int r;

	pthread_mutex_lock(&copying->lock);
	r = fb_links_note(&copying->links, st, copying->entries[index].target, &first);
	pthread_mutex_unlock(&copying->lock);
	if (r < 0)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, -r, "malloc", NULL, NULL);
	copying->todo[index].first = first;
	return first != NULL;
}

static int copy_file(struct copying *copying, struct fb_putter *putter, size_t index, bool may_link)
{
	const struct fb_copy_entry *entry = &copying->entries[index];
	uint64_t size = 0;
	struct stat st;
	fb_auto_close int from = fb_put_open(putter, entry, &st);
	int r = 0;

	if (from < 0)
		return from;
	if (may_link && st.st_nlink > 1)
		r = note_link(copying, index, &st, putter->err);
	if (r)
		return r < 0 ? r : 0;
	r = fb_put_file(putter, entry, from, &st, &size);
	copying->bytes += size;
	copying->done++;
	return r;
}

static int copy_one(struct copying *copying, struct fb_putter *putter, size_t index)
{
	const struct fb_copy_entry *entry = &copying->entries[index];

	if (is_directory(entry) || entry->kind == S_IFSOCK || copying->todo[index].skip)
		return 0;
	if (entry->kind == S_IFREG)
		return copy_file(copying, putter, index, true);
	copying->done++;
	return fb_put_other(putter, entry);
}

static void work(struct fb_share *share, void *context)
{
	struct copying *copying = context;
	struct fb_error err;
	fb_auto_putter struct fb_putter *putter = fb_putter_open(copying->source, copying->target, &err);
	size_t at, to;

	if (!putter)
		fb_share_fail(share, 0, &err);
	while (putter && fb_share_take(share, &at, &to))
		for (; at < to; at++)
			if (copy_one(copying, putter, at) < 0) {
				fb_share_fail(share, at, &err);
				return;
			}
}

static int make_directories(struct copying *copying, struct fb_putter *putter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < copying->count; i++)
		if (is_directory(&copying->entries[i])) {
			r = fb_put_directory(putter, &copying->entries[i]);
			copying->done++;
		}
	return r;
}

static int make_links(struct copying *copying, struct fb_putter *putter)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < copying->count; i++) {
		if (!copying->todo[i].first)
			continue;
		r = fb_put_link(putter, &copying->entries[i], copying->todo[i].first);
		if (r > 0)
			copying->done++;
		else if (r == 0)
			r = copy_file(copying, putter, i, false);
	}
	return r < 0 ? r : 0;
}

static int finish_directories(struct copying *copying, struct fb_putter *putter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < copying->count; i++)
		if (is_directory(&copying->entries[i]))
			r = fb_put_directory_attributes(putter, &copying->entries[i]);
	return r;
}

int fb_copy_entries(int source, int target, const struct fb_copy_entry *entries, size_t count, unsigned threads,
		    struct fb_copied *ret_copied, struct fb_error *err)
{
	auto_copying struct copying copying = {
		.source = source,
		.target = target,
		.entries = entries,
		.count = count,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	fb_auto_putter struct fb_putter *putter = fb_putter_open(source, target, err);
	int r;

	if (!putter)
		return -ENOMEM;
	copying.todo = calloc(count + 1, sizeof(*copying.todo));
	if (!copying.todo)
		return FB_FAIL_CODE(err, FB_STAGE_WRITE, ENOMEM, "calloc", NULL, NULL);
	r = skip_replaced(&copying, err);
	if (r == 0)
		r = make_directories(&copying, putter);
	if (r == 0)
		r = fb_share_run(count, threads, work, &copying, err);
	if (r == 0)
		r = make_links(&copying, putter);
	if (r == 0)
		r = finish_directories(&copying, putter);
	if (r == 0)
		*ret_copied = (struct fb_copied){.entries = copying.done, .bytes = copying.bytes};
	return r;
}
