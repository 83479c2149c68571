/* Reading what log_json.c, log_local.c and docker have written: records out of a block of a file. What is no record is passed over. */
#ifndef FB_LOG_READ_H
#define FB_LOG_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fb_log_kind { FB_LOG_KIND_JSON, FB_LOG_KIND_LOCAL };

struct fb_log_record {
	int64_t when; /* ns since 1970 */
	int stream;   /* 1 or 2 */
	bool ended;   /* by a newline, which is not in the text */
	const char *text;
	size_t length;
	const char *attrs; /* a JSON object, NULL: none */
	size_t attrs_length;
};

struct fb_log_print {
	int64_t since, until; /* records from and up to these, both included */
	bool timestamps, details;
};

struct fb_log_run { /* what is to be printed to one stream, in order */
	int stream;
	size_t end; /* in the output; it begins where the run before it ends */
};

/* The next record of a block. Its text lies in `to`, with room for the block's length, or in the block. Returns how much of the block is done
 * with: 0 when it ends before the record does; *ret_found: there is a record. */
size_t fb_log_read(enum fb_log_kind kind, const char *data, size_t length, char *to, struct fb_log_record *ret_record,
		   bool *ret_found);
/* As `docker logs` prints them: time and attributes first, if wished. Stops for lack of room, of runs, or at a record later than `until`
 * (*ret_over). Returns how much of the block is done with. */
size_t fb_log_print(enum fb_log_kind kind, const char *data, size_t length, const struct fb_log_print *print, char *out,
		    size_t size, struct fb_log_run *runs, size_t max_runs, size_t *ret_runs, bool *ret_over);

#endif
