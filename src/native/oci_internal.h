/* Between the files of the OCI command. */
#ifndef FB_OCI_INTERNAL_H
#define FB_OCI_INTERNAL_H

#include <stdio.h>

#include "oci.h"

/* --- oci_state.c --- */

/* Letters, digits, '_', '+', '-', '.', ',', not "." or "..", at most 1024. */
bool fb_oci_id_valid(const char *id);

/* --- oci_record.c: state.json --- */

/* Malloc'd JSON; NULL after a failure. */
char *fb_oci_state_format(const struct fb_oci_state *state, struct fb_error *err);
/* Fill what the document says. Anything but a document of our own is an error that names the container. */
int fb_oci_state_parse(const char *text, size_t length, struct fb_oci_state *state, struct fb_error *err);

/* --- oci_json.c --- */

struct fb_json_out {
	FILE *out;
	const char *indent; /* NULL: all in one line */
	int depth;	    /* 0 to begin with */
	bool some;	    /* a value precedes the next one; false to begin with */
};

/* `key` is NULL for an item and for the whole. `bracket`: one of {[ and its other half. */
void fb_out_open(struct fb_json_out *json, const char *key, char bracket);
void fb_out_close(struct fb_json_out *json, char bracket);
void fb_out_text(struct fb_json_out *json, const char *key, const char *text);
void fb_out_int(struct fb_json_out *json, const char *key, int64_t value);
void fb_out_uint(struct fb_json_out *json, const char *key, uint64_t value);
void fb_out_bool(struct fb_json_out *json, const char *key, bool value);
void fb_out_double(struct fb_json_out *json, const char *key, double value);
void fb_out_null(struct fb_json_out *json, const char *key);
/* An array of strings; the last is followed by NULL. */
void fb_out_texts(struct fb_json_out *json, const char *key, const char *const *texts);
/* Flush, and say so when that failed. The exit code. */
int fb_out_end(const struct fb_oci *oci, FILE *out);

/* --- oci_options.c --- */

/* Options, then exactly one word: a container's id. */
int fb_oci_options_id(const struct fb_oci_option *table, int argc, char **argv, const char **ret_id, struct fb_error *err);

/* --- oci_stats.c --- */

struct fb_cgroup_stats;
/* As the member `data` of an event. */
void fb_oci_put_stats(struct fb_json_out *json, const struct fb_cgroup_stats *stats);

/* --- oci_show.c --- */

/* Of /etc/passwd, or "#" and the number. */
void fb_oci_user_name(uid_t uid, char to[64]);

#endif
