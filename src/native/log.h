/* The log of a container: what its process writes, in lines, to a driver (a file or a socket).
 *
 * Words: a line longer than FB_LOG_LINE is written in *pieces*; what a socket does not take yet is the *backlog*.
 */
#ifndef FB_LOG_H
#define FB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "quote.h"
#include "spec.h"

#define FB_LOG_LINE ((size_t)16384)   /* longer lines are cut */
#define FB_LOG_FIELDS ((size_t)32768) /* what is the same in each record may take this much */
#define FB_LOG_BUFFER (FB_LOG_LINE * FB_QUOTE_WORST + FB_LOG_FIELDS + (size_t)1024) /* holds any one record */

struct fb_log_partial { /* of one stream: the line that has no end yet */
	char *text;	/* FB_LOG_LINE bytes of room, NULL: none */
	size_t length;
	unsigned pieces;	  /* of it that are written already */
	struct timespec when;	  /* of the first piece: all pieces have its time */
	char time[FB_TIME_SIZE];
	char id[65]; /* the same for all its pieces */
};

struct fb_log_chunk;
struct fb_log_peer;

struct fb_log {
	struct fb_log *cache; /* a file that is told the same, of a driver that can't be read; NULL: none */
	const struct fb_log_ops *ops; /* NULL: no log */
	int fd;			      /* -1: given up for now */
	char *buffer;		      /* FB_LOG_BUFFER bytes, shared by all logs of a supervisor */
	size_t used;		      /* of the buffer; 0 outside fb_log_write */
	char *fields;		      /* what is the same in each record, encoded; NULL: nothing */
	size_t fields_length;
	struct fb_log_partial partial[2];
	/* A file's. */
	char *path;
	uint64_t size;	   /* of whole records in the file; a torn write is cut back to it */
	uint64_t max_size; /* 0: no rotation */
	unsigned max_file; /* this file and its predecessors .1 .2 ... together */
	unsigned rotated;  /* how many predecessors there are, once `counted` */
	bool counted;
	char **pack; /* the command that compresses predecessors, NULL: nobody does */
	/* A socket's. */
	struct fb_log_peer *peer;
	struct fb_log_chunk *backlog, **backlog_end;
	uint64_t backlog_size, backlog_max; /* max 0: the container waits, else what does not fit is dropped */
	bool open_line[2];		    /* of each stream: what was taken last has no end of line */
	bool lost[2];			    /* text was dropped after it */
	bool skipping[2];		    /* in the middle of a line, whose rest is dropped too */
};

/* Open by what the bundle says. A file is made when missing (0600); a last record that a killed writer left unfinished is ended or cut.
 * A socket that is not there is an error. */
int fb_log_open(struct fb_log *log, const struct fb_log_spec *spec, char *buffer, struct fb_error *err);
/* Log what was read from `stream` (1 or 2). Never fails: on a full disk or without a listener the lines are dropped and the next ones tried. */
void fb_log_write(struct fb_log *log, int stream, const char *data, size_t length);
/* There is a backlog: log->fd is to be awaited for writing, and then fb_log_resume called. */
bool fb_log_waits(const struct fb_log *log);
void fb_log_resume(struct fb_log *log);
/* The container may not write on before the backlog is gone. */
bool fb_log_blocks(const struct fb_log *log);
/* Write what has no end of line yet, and close. A socket that takes nothing is given up soon. */
void fb_log_close(struct fb_log *log);

#endif
