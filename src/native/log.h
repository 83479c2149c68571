/* The log of a container: docker's json-file lines, rotated by rename between whole lines. */
#ifndef FB_LOG_H
#define FB_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "quote.h"

#define FB_LOG_LINE ((size_t)16384)				 /* longer lines are cut */
#define FB_LOG_BUFFER (FB_LOG_LINE * FB_QUOTE_WORST + (size_t)1024) /* holds any one line encoded */

struct fb_log {
	int fd;		    /* -1: none, or given up */
	char *path;
	uint64_t size;	    /* of whole lines in the file; a torn write is cut back to it */
	uint64_t max_size;  /* 0: no rotation */
	unsigned max_file;  /* this file and its predecessors .1 .2 ... together */
	char *buffer;	    /* FB_LOG_BUFFER bytes, shared by all logs of a supervisor */
	size_t used;	    /* of the buffer; 0 outside fb_log_write */
	struct {
		char *text; /* the line that has no end yet, FB_LOG_LINE bytes of room */
		size_t length;
	} partial[2];
};

/* Open for appending, made when missing (0600). A last line that a killed writer left without its end gets one. */
int fb_log_open(struct fb_log *log, const char *path, uint64_t max_size, unsigned max_file, char *buffer,
		struct fb_error *err);
/* Log what was read from `stream` (1 or 2). Never fails: on a full disk the lines are dropped and the next ones tried. */
void fb_log_write(struct fb_log *log, int stream, const char *data, size_t length);
/* Write what has no end of line yet, and close. */
void fb_log_close(struct fb_log *log);

#endif
