#include "links.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct fb_link *find(const struct fb_links *links, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)ino ^ (uint64_t)dev << 40) * 0x9e3779b97f4a7c15u;
	size_t at = (size_t)(hash >> 20) & (links->room - 1);

	while (links->table[at].name &&
	       (links->table[at].dev != dev || links->table[at].ino != ino))
		at = (at + 1) & (links->room - 1);
	return &links->table[at];
}

static int grow(struct fb_links *links)
{
	struct fb_links grown = {.room = links->room ? links->room * 2 : 256,
				 .count = links->count};

	if (links->count * 2 < links->room)
		return 0;
	grown.table = calloc(grown.room, sizeof(*grown.table));
	if (!grown.table)
		return -ENOMEM;
	for (size_t i = 0; i < links->room; i++)
		if (links->table[i].name)
			*find(&grown, links->table[i].dev, links->table[i].ino) = links->table[i];
	free(links->table);
	*links = grown;
	return 0;
}

int fb_links_note(struct fb_links *links, const struct stat *st, const char *name,
		  const char **ret_first)
{
	struct fb_link *link;
	char *copy;

	if (grow(links) < 0)
		return -ENOMEM;
	link = find(links, st->st_dev, st->st_ino);
	*ret_first = link->name;
	if (link->name)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	*link = (struct fb_link){.dev = st->st_dev, .ino = st->st_ino, .name = copy};
	links->count++;
	return 0;
}

void fb_links_free(struct fb_links *links)
{
	for (size_t i = 0; i < links->room; i++)
		free(links->table[i].name);
	free(links->table);
}
