#include "list_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define FAIL(code, call, path) FB_FAIL_CODE(err, FB_STAGE_DIGEST, (code), (call), (path), NULL)

/* Where the text begins, or -1 without memory. */
static ssize_t keep(struct fb_listing *listing, const char *text, size_t length)
{
	size_t at = listing->length;

	if (at + length + 1 > listing->text_room) {
		size_t room = (at + length + 1) * 2;
		char *grown = realloc(listing->text, room);

		if (!grown)
			return -1;
		listing->text = grown;
		listing->text_room = room;
	}
	memcpy(listing->text + at, text, length);
	listing->text[at + length] = '\0';
	listing->length = at + length + 1;
	return (ssize_t)at;
}

static struct fb_listed *next_entry(struct fb_listing *listing)
{
	if (listing->count == listing->room) {
		size_t room = listing->room ? listing->room * 2 : 64;
		struct fb_listed *grown = realloc(listing->entries, room * sizeof(*grown));

		if (!grown)
			return NULL;
		listing->entries = grown;
		listing->room = room;
	}
	return &listing->entries[listing->count];
}

static int add(struct fb_listing *listing, int fd, const char *name, struct fb_error *err)
{
	struct fb_listed *entry = next_entry(listing);
	char link[PATH_MAX];
	ssize_t length = 0, at;

	if (!entry)
		return FAIL(ENOMEM, "realloc", NULL);
	if (fstatat(fd, name, &entry->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : FAIL(errno, "fstatat", name);
	if (S_ISLNK(entry->st.st_mode)) {
		length = readlinkat(fd, name, link, sizeof(link));
		if (length < 0) /* gone, or another thing by now */
			return errno == ENOENT || errno == EINVAL ? 0 : FAIL(errno, "readlinkat", name);
	}
	at = keep(listing, name, strlen(name));
	if (at < 0)
		return FAIL(ENOMEM, "realloc", NULL);
	entry->name = (size_t)at;
	at = keep(listing, link, (size_t)length);
	if (at < 0)
		return FAIL(ENOMEM, "realloc", NULL);
	entry->link = (size_t)at;
	listing->count++;
	return 0;
}

int fb_list_dir(int dirfd, struct fb_listing *listing, struct fb_error *err)
{
	fb_auto_close int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fb_auto_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	const struct dirent *entry;
	int r = 0;

	*listing = (struct fb_listing){0};
	if (!dir)
		return FAIL(errno, "opendir", NULL);
	own = -1;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add(listing, dirfd, entry->d_name, err);
	return r == 0 && errno ? FAIL(errno, "readdir", NULL) : r;
}

void fb_listing_free(struct fb_listing *listing)
{
	free(listing->entries);
	free(listing->text);
}
