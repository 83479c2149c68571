/* A name of an archive as a place below a root: words only, nothing is looked up. */
#include <errno.h>
#include <string.h>

#include "tar_place.h"

int fb_place_spot(struct fb_place *place, const char *name, struct fb_spot *ret_spot)
{
	size_t used = 0;

	ret_spot->parent[0] = ret_spot->leaf[0] = '\0';
	for (;;) {
		size_t before = strlen(ret_spot->leaf), length;

		name += strspn(name, "/");
		length = strcspn(name, "/");
		if (length == 0)
			return 0;
		if (length == 1 && name[0] == '.') {
			name++;
			continue;
		}
		if (length == 2 && name[0] == '.' && name[1] == '.')
			return PLACE_FAIL(place, "tar", EXDEV,
					  "a name with \"..\" could leave the root");
		/* What is longer than a path can be could never be opened by its name again. */
		if (length > NAME_MAX || used + before + length + 3 > PATH_MAX)
			return PLACE_FAIL(place, "tar", ENAMETOOLONG, NULL);
		if (before) { /* what was the last component is one more parent */
			if (used)
				ret_spot->parent[used++] = '/';
			memcpy(ret_spot->parent + used, ret_spot->leaf, before + 1);
			used += before;
		}
		memcpy(ret_spot->leaf, name, length);
		ret_spot->leaf[length] = '\0';
		name += length;
	}
}
