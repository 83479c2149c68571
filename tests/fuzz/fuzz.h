/* What fuzz targets share. A target is one file with LLVMFuzzerTestOneInput, for libFuzzer:
 *
 *   clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -iquote src/native -Itests/native FILE LIBRARY...
 *
 * With FUZZ_STANDALONE (what `make fuzz` builds, by any compiler) it also has the four functions below, and runs by itself:
 * `./fuzz_NAME SECONDS [SEED-FILE...]` tries its own seeds and those files as they are, then changes them until the time is
 * over. It prints the number that its random choices come from; FUZZ_SEED=number in the environment makes them again. An input
 * that crashes it is left in the file "crash-NAME" of the current directory: `./fuzz_NAME 0 crash-NAME` tries it again.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <time.h>

#include "cleanup.h"
#include "tar_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define stop_unless(condition)                                                                                                     \
	do {                                                                                                                       \
		if (!(condition)) {                                                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                 \
			abort();                                                                                                   \
		}                                                                                                                  \
	} while (0)

#ifdef FUZZ_STANDALONE

#define SEEDS_MAX 64
static struct make seeds[SEEDS_MAX];
static int seed_count;
static uint64_t random_state = 1; /* the seeds are the same each time */

void fuzz_begin(void);			 /* fills `seeds` */
const struct make *fuzz_seed(void);	 /* the one to change next */
void fuzz_mutate(struct make *m);	 /* some changes */
void fuzz_end(void);

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return n ? random_state % n : 0;
}

static void load_seed(const char *path)
{
	fb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct make *m = &seeds[seed_count];
	uint8_t buffer[4096];
	ssize_t n;

	stop_unless(fd >= 0);
	while (m->length < 1 << 18 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		mk_bytes(m, buffer, (size_t)n);
	seed_count += m->length > 0;
}

/* Any number will do but 0, from which xorshift never gets away. */
static void seed_random(void)
{
	const char *wish = getenv("FUZZ_SEED");
	uint64_t seed = wish ? strtoull(wish, NULL, 10) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();

	random_state = seed ? seed : 1;
	fprintf(stderr, "FUZZ_SEED=%llu\n", (unsigned long long)random_state);
}

/* Written before it is tried: whatever ends the process, the input is there. */
static void try_input(int fd, const struct make *m)
{
	stop_unless(ftruncate(fd, 0) == 0 && pwrite(fd, m->data, m->length, 0) == (ssize_t)m->length);
	LLVMFuzzerTestOneInput(m->data, m->length);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	const char *slash = strrchr(argv[0], '/');
	fb_auto_close int fd = -1;
	unsigned long runs = 0;
	char path[256];

	snprintf(path, sizeof(path), "crash-%s", slash ? slash + 1 : argv[0]);
	fuzz_begin();
	seed_random();
	for (int i = 2; i < argc && seed_count < SEEDS_MAX; i++)
		load_seed(argv[i]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* it may have been a seed */
	stop_unless(fd >= 0);
	for (; runs < (unsigned long)seed_count; runs++)
		try_input(fd, &seeds[runs]);
	for (; time(NULL) < end; runs++) {
		const struct make *seed = fuzz_seed();
		struct make m = {0};

		mk_bytes(&m, seed->data, seed->length);
		fuzz_mutate(&m);
		try_input(fd, &m);
		mk_free(&m);
	}
	fuzz_end();
	fprintf(stderr, "%lu inputs\n", runs);
	unlink(path);
	return 0;
}

#endif

#endif
