#include "list_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "inroot.h"

#define FAIL(code, call, path) FB_FAIL_CODE(err, FB_STAGE_DIGEST, (code), (call), (path), NULL)

/* The items with room for `wanted`, or NULL without memory. */
static void *grown(void *items, size_t *room, size_t wanted, size_t size)
{
	size_t more = wanted * 2 < 64 ? 64 : wanted * 2;

	if (wanted <= *room)
		return items;
	items = reallocarray(items, more, size);
	if (items)
		*room = more;
	return items;
}

static struct fb_listed *next_entry(struct fb_listing *listing)
{
	struct fb_listed *entries = grown(listing->entries, &listing->room, listing->count + 1, sizeof(*entries));

	if (!entries)
		return NULL;
	listing->entries = entries;
	return &entries[listing->count];
}

static bool has_text_room(struct fb_listing *listing, size_t length)
{
	char *text = grown(listing->text, &listing->text_room, listing->length + length, 1);

	if (text)
		listing->text = text;
	return text;
}

static void append(struct fb_listing *listing, const char *text, size_t length)
{
	memcpy(listing->text + listing->length, text, length);
	listing->length += length;
}

/* `at`: where the directory's path begins in the text, which may move. */
static int add(struct fb_listing *listing, int fd, size_t at, const char *name, struct fb_error *err)
{
	struct fb_listed *entry = next_entry(listing);
	size_t above, length = strlen(name);
	char link[PATH_MAX];
	ssize_t linked = 0;

	if (!entry)
		return FAIL(ENOMEM, "realloc", NULL);
	if (fstatat(fd, name, &entry->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : FAIL(errno, "fstatat", name);
	if (S_ISSOCK(entry->st.st_mode))
		return 0;
	if (S_ISLNK(entry->st.st_mode)) {
		linked = readlinkat(fd, name, link, sizeof(link));
		if (linked < 0) /* gone, or another thing by now */
			return errno == ENOENT || errno == EINVAL ? 0 : FAIL(errno, "readlinkat", name);
	}
	above = strlen(listing->text + at);
	if (!has_text_room(listing, above + length + (size_t)linked + 3))
		return FAIL(ENOMEM, "realloc", NULL);
	entry->path = listing->length;
	if (above) {
		append(listing, listing->text + at, above);
		append(listing, "/", 1);
	}
	append(listing, name, length + 1);
	entry->link = listing->length;
	append(listing, link, (size_t)linked);
	append(listing, "", 1);
	if (++listing->count > listing->most)
		return FAIL(E2BIG, "readdir", NULL);
	return 0;
}

/* One directory's entries come behind the others. */
static int list(int root, struct fb_listing *listing, size_t at, struct fb_error *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	fb_auto_close int fd = fb_inroot_open(root, listing->text[at] ? listing->text + at : ".", flags, false);
	fb_auto_dir DIR *dir = NULL;
	const struct dirent *entry;
	int r = 0;

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return FAIL(-fd, "open", listing->text + at);
	dir = fdopendir(fd);
	if (!dir)
		return FAIL(errno, "opendir", listing->text + at);
	fd = -1;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add(listing, dirfd(dir), at, entry->d_name, err);
	return r == 0 && errno ? FAIL(errno, "readdir", listing->text + at) : r;
}

static int compare(const void *a, const void *b, void *text)
{
	return strcmp((char *)text + ((const struct fb_listed *)a)->path, (char *)text + ((const struct fb_listed *)b)->path);
}

/* The entries from `from` on, the last directory's: in order, and on top of what waits. */
static bool push(struct fb_listing *listing, size_t from, size_t **pending, size_t *waiting, size_t *room)
{
	size_t count = listing->count - from;
	size_t *order = grown(listing->order, &listing->order_room, listing->count + 1, sizeof(*order));
	size_t *more = grown(*pending, room, *waiting + count + 1, sizeof(*more));

	listing->order = order ? order : listing->order;
	*pending = more ? more : *pending;
	if (!order || !more)
		return false;
	if (count)
		qsort_r(listing->entries + from, count, sizeof(*listing->entries), compare, listing->text);
	for (size_t i = listing->count; i > from; i--)
		more[(*waiting)++] = i - 1;
	return true;
}

static int walk(int root, struct fb_listing *listing, bool deep, size_t **pending, struct fb_error *err)
{
	size_t waiting = 0, room = 0, from = 0, at = 0;

	for (;;) {
		int r = list(root, listing, at, err);

		if (r < 0)
			return r;
		if (!push(listing, from, pending, &waiting, &room))
			return FAIL(ENOMEM, "realloc", NULL);
		from = listing->count;
		do {
			if (waiting == 0)
				return 0;
			at = (*pending)[--waiting];
			listing->order[listing->ordered++] = at;
		} while (!deep || !S_ISDIR(listing->entries[at].st.st_mode));
		at = listing->entries[at].path;
	}
}

int fb_list_tree(int root, const char *path, bool deep, size_t most, struct fb_listing *listing, struct fb_error *err)
{
	fb_auto_free size_t *pending = NULL;

	*listing = (struct fb_listing){.most = most};
	if (!has_text_room(listing, strlen(path) + 1))
		return FAIL(ENOMEM, "realloc", NULL);
	append(listing, path, strlen(path) + 1);
	return walk(root, listing, deep, &pending, err);
}

void fb_listing_free(struct fb_listing *listing)
{
	free(listing->entries);
	free(listing->text);
	free(listing->order);
}
