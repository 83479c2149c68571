/* "tmpcopyup": a new tmpfs begins with what the directory that it covers holds. */
#ifndef FB_COPYUP_H
#define FB_COPYUP_H

/* Copy what is in the directory `from` (a path descriptor) into the empty one `to`: files, directories, links, with owner, mode and times;
 * device nodes, where they may be made. Links are not followed and mounts not entered. Allocates nothing: used between clone and exec, by a
 * child with memory of its own. -ENOSPC is the new file system's limit, -ELOOP a tree that is too deep. */
int fb_copy_up(int from, int to);

#endif
