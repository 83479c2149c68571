/* fb_share_run: each thing once, whatever the number of threads, and the first failure in the list's order. */
#include "share.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"

#define COUNT 10000

static _Atomic int seen[COUNT];
static size_t fail_from = COUNT; /* everything from here on fails */

static void work(struct fb_share *share, void *context)
{
	size_t at, to;

	(void)context;
	while (fb_share_take(share, &at, &to))
		for (; at < to; at++) {
			struct fb_error err;
			char path[24];

			seen[at]++;
			if (at < fail_from)
				continue;
			snprintf(path, sizeof(path), "%zu", at);
			(void)FB_FAIL_CODE(&err, FB_STAGE_WRITE, EIO, "test", path, NULL);
			fb_share_fail(share, at, &err);
			return;
		}
}

static void test_each_once(size_t count, unsigned threads)
{
	struct fb_error err = {0};

	memset(seen, 0, sizeof(seen));
	CHECK(fb_share_run(count, threads, work, NULL, &err) == 0 && err.code == 0);
	for (size_t i = 0; i < COUNT; i++)
		CHECK(seen[i] == (i < count));
}

int main(void)
{
	struct fb_error err = {0};
	const unsigned threads[] = {0, 1, 2, 7, 1000};

	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		test_each_once(0, threads[i]);
		test_each_once(1, threads[i]);
		test_each_once(5, threads[i]);
		test_each_once(COUNT, threads[i]);
	}
	/* What comes before it was given out before, and does not fail: it is always this one. */
	fail_from = 777;
	for (unsigned i = 1; i < 9; i++) {
		CHECK(fb_share_run(COUNT, i, work, NULL, &err) == -EIO);
		CHECK(err.code == EIO && strcmp(err.path, "777") == 0);
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
