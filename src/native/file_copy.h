/* Files of one tree, each from a path to a path, into another tree that nobody else writes to: a build's COPY into a layer to be.
 *
 * Directories are made one after the other, then everything else by several threads, at last the directories get what is said of them,
 * so that neither times nor inherited ACLs nor modes depend on what was put into them. The outcome is that of copying entry by entry in
 * the order of the list: of several entries with one target, none of them a directory, the last counts. Files that were one file with
 * several names in the source are one in the target.
 *
 * The source may be changed meanwhile by somebody else, and hold any links: names are opened in directories that are held, no link is
 * followed on either side, and who gives the time at which a file was looked at learns whether it is still that file.
 */
#ifndef FB_FILE_COPY_H
#define FB_FILE_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct fb_copy_entry {
	/* Paths as held.h wants them, or "." for the roots themselves. "" as the source of a directory: it has none; 0755, root's, and
	 * its time is not set. */
	const char *source, *target;
	/* S_IFDIR, S_IFREG and so on. A source of another kind by now, or below a link, is ESTALE. S_IFSOCK: left out. */
	uint32_t kind;
	int32_t mode;		/* -1: the source's */
	int64_t uid, gid;	/* -1: the source's */
	int64_t ctime_ns;	/* of a regular file: when it has changed since, before or while it is copied, ESTALE. 0: never mind. */
};

struct fb_copied {
	uint64_t entries; /* that are there now */
	uint64_t bytes;	  /* of regular files, each once */
};

/* A directory comes before what is in it, and replaces what is no directory; a directory that is there stays, with what is in it. Anything
 * else replaces what is no directory (EISDIR). EINVAL: a path that is not plain, a character device 0:0. ELOOP: a link on the way
 * in the target. After a failure what was copied is still there. */
int fb_copy_entries(int source, int target, const struct fb_copy_entry *entries, size_t count, unsigned threads,
		    struct fb_copied *ret_copied, struct fb_error *err);

#endif
