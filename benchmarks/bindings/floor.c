/* The floor under a call from Python: the same calls from C, in a loop that the compiler can't see
 * through.
 *
 *   floor name|digest CALLS
 *
 * It reads "N T" lines from stdin and prints N lines of microseconds, CALLS calls each, and "done
 * WALL".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"

static const char *(*volatile name)(int stage) = bench_stage_name;
static int (*volatile digest)(const void *data, size_t length, uint8_t *ret) = bench_digest;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void call(const char *which, unsigned calls)
{
	uint8_t data[64], value[32];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (unsigned i = 0; i < calls; i++)
		if (!strcmp(which, "name") ? !*name(9) : digest(data, sizeof(data), value) < 0)
			exit(1);
}

int main(int argc, char **argv)
{
	unsigned count, threads, calls = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	char line[64];

	if (!calls)
		return 2;
	printf("total\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		double wall = now();

		if (sscanf(line, "%u %u", &count, &threads) != 2 || threads != 1)
			return 2;
		for (unsigned i = 0; i < count; i++) {
			double begin = now();

			call(argv[1], calls);
			printf("%.3f\n", now() - begin);
		}
		printf("done %.1f\n", now() - wall);
		fflush(stdout);
	}
	return 0;
}
