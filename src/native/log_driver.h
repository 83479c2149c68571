/* What a log's driver implements, and what drivers share. */
#ifndef FB_LOG_DRIVER_H
#define FB_LOG_DRIVER_H

#include "log.h"

struct fb_log_entry { /* a line or a piece of one */
	int stream;
	const char *text; /* without its newline */
	size_t length;
	bool ended; /* by a newline */
	struct timespec when;
	const char *time;		      /* the same, formatted */
	const struct fb_log_partial *partial; /* NULL: a whole line */
};

struct fb_log_ops {
	/* 0, also when it is lost for good; -EAGAIN: not now. */
	int (*put)(struct fb_log *log, const struct fb_log_entry *entry);
	void (*flush)(struct fb_log *log); /* what is in the buffer */
};

int fb_log_json_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);
int fb_log_local_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);
int fb_log_journald_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);
int fb_log_syslog_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);

/* log_file.c: records in a file that is rotated by rename. */
int fb_log_file_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);
/* Room in the buffer for a record of at most `most` bytes; then say how many were written there. */
char *fb_log_file_room(struct fb_log *log, size_t most);
void fb_log_file_commit(struct fb_log *log, size_t written);
void fb_log_file_flush(struct fb_log *log);

/* log_pack.c: who compresses rotated files. */
int fb_log_pack_open(struct fb_log *log, const struct fb_log_spec *spec);
void fb_log_pack_start(struct fb_log *log);
void fb_log_pack_free(struct fb_log *log);

/* log_peer.c: a socket that is never waited for. */
int fb_log_peer_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err);
int fb_log_peer_send(struct fb_log *log, const char *data, size_t length);
void fb_log_peer_free(struct fb_log *log);

#endif
