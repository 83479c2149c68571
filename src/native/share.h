/* A long list of things of unknown weight, shared out to threads: a worker takes a stretch of the list whenever it has none left, long
 * ones at first, single things at the end, so that one heavy thing at any place keeps nobody else waiting.
 */
#ifndef FB_SHARE_H
#define FB_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define FB_SHARE_THREADS_MAX 16

struct fb_share;

/* The next stretch, from `*ret_from` to before `*ret_to`. False: nothing is left, or something failed. */
bool fb_share_take(struct fb_share *share, size_t *ret_from, size_t *ret_to);
/* A worker failed at one thing of its stretch. Of several failures the one that comes first in the list is told. */
void fb_share_fail(struct fb_share *share, size_t index, const struct fb_error *err);

/* Run `work` in up to `threads` threads (0: as many as there are processors; the caller is one of them) until each has returned. */
int fb_share_run(size_t count, unsigned threads, void (*work)(struct fb_share *share, void *context), void *context,
		 struct fb_error *err);

#endif
