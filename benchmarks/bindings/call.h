/* What is bound: a name by its number, and the sha256 of a buffer. */
#ifndef BENCH_CALL_H
#define BENCH_CALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((visibility("default"))) const char *bench_stage_name(int stage);
/* 0, or a negative errno. */
__attribute__((visibility("default"))) int bench_digest(const void *data, size_t length,
							uint8_t ret_digest[32]);

#ifdef __cplusplus
}
#endif

#endif
