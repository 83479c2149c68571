/* Directories that entries lie in and no entry lists. They look as in the layers below; that is noted here and done in the end, when
 * no entry can list them any more, and so that layers need not wait for each other. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>

#include "cleanup.h"
#include "inroot.h"
#include "tar_place.h"

/* More is not kept in memory, whatever the archive: from then on the layers below are waited for. */
#define NOTES_MAX ((size_t)4 << 20)

struct implied {
	ino_t ino; /* the name may mean another directory in the end */
	char path[];
};

static int compare(const void *left, const void *right)
{
	ino_t a = ((const struct implied *)left)->ino, b = ((const struct implied *)right)->ino;

	return a < b ? -1 : a > b;
}

static void drop(struct fb_place *place, struct implied *note)
{
	tdelete(note, &place->implied, compare);
	place->implied_size -= sizeof(*note) + strlen(note->path) + 1;
	free(note);
}

static struct implied *find(struct fb_place *place, ino_t ino)
{
	const struct implied key = {.ino = ino};
	struct implied **found = tfind(&key, &place->implied, compare);

	return found ? *found : NULL;
}

bool fb_implied_wanted(const struct fb_place *place)
{
	return place->lower_count && place->implied_size < NOTES_MAX;
}

int fb_implied_note(struct fb_place *place, int fd, const char *path)
{
	size_t size = strlen(path) + 1;
	struct implied *note, *old;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return PLACE_FAIL(place, "fstat", errno, NULL);
	old = find(place, st.st_ino); /* of a directory that is gone */
	if (old)
		drop(place, old);
	note = malloc(sizeof(*note) + size);
	if (!note)
		return PLACE_FAIL(place, "malloc", ENOMEM, NULL);
	note->ino = st.st_ino;
	memcpy(note->path, path, size);
	if (!tsearch(note, &place->implied, compare)) {
		free(note);
		return PLACE_FAIL(place, "tsearch", ENOMEM, NULL);
	}
	place->implied_size += sizeof(*note) + size;
	return 0;
}

void fb_implied_forget(struct fb_place *place, int fd)
{
	struct implied *note;
	struct stat st;

	if (!place->implied || fstat(fd, &st) < 0)
		return;
	note = find(place, st.st_ino);
	if (note)
		drop(place, note);
}

static int settle(struct fb_place *place, const struct implied *note)
{
	fb_auto_close int below = -1, fd = fb_inroot_stay(place->root, note->path,
							  O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct stat st;

	/* Gone, or no directory any more: a later entry took its place. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != note->ino)
		return 0;
	below = fb_lower_search(place, note->path);
	return below < 0 ? 0 : fb_lower_inherit(place, below, fd, ".", note->path);
}

int fb_implied_settle(struct fb_place *place)
{
	int r = place->implied ? fb_lower_wait(place) : 0;

	while (r == 0 && place->implied) {
		struct implied *note = *(struct implied **)place->implied;

		place->blame.entry = note->path;
		r = settle(place, note);
		place->blame.entry = NULL;
		drop(place, note);
	}
	return r;
}

void fb_implied_free(struct fb_place *place)
{
	while (place->implied)
		drop(place, *(struct implied **)place->implied);
}
