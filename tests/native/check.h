/* What every native test uses: a check that names its line and goes on. */
#ifndef FB_TEST_CHECK_H
#define FB_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static int failures;

#endif
