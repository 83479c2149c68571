/* One line of docker's json-file. */
#ifndef FB_LOG_JSON_H
#define FB_LOG_JSON_H

#include "log_read.h"

/* The line without its newline; the text is decoded into `to`, which has room for `length` bytes. False: it is no record. */
bool fb_log_json_line(const char *line, size_t length, char *to, struct fb_log_record *ret_record);
/* A JSON string from its quotation mark on into `to`; NULL: it is none. Returns what comes after it. */
const char *fb_log_json_string(const char *at, const char *end, char *to, size_t *ret_length);
/* RFC 3339, with any zone and fraction. */
bool fb_log_time(const char *text, size_t length, int64_t *ret_when);

#endif
