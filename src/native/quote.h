/* Text into JSON strings, as Go's encoder writes them (docker's logs are made by it). */
#ifndef FB_QUOTE_H
#define FB_QUOTE_H

#include <stddef.h>
#include <time.h>

#define FB_QUOTE_WORST 6 /* bytes that one byte of text may become */
#define FB_TIME_SIZE 31	 /* "2026-01-02T03:04:05.123456789Z" and its NUL */

/* Write the inside of a JSON string to `to` (room for length * FB_QUOTE_WORST) and return its size; no NUL, no quotation marks. Bytes
 * that are not UTF-8 become U+FFFD each; control bytes, <, > and & are escaped. */
size_t fb_quote(char *to, const char *text, size_t length);
/* The same with a NUL, cutting the text when `size` could not hold it. */
void fb_quote_string(char *to, size_t size, const char *text);
/* How many bytes at the end of `text` begin a character that is cut off there: 0 to 3. */
size_t fb_quote_cut(const char *text, size_t length);
/* RFC 3339 in UTC with nanoseconds. */
void fb_time_format(const struct timespec *time, char to[FB_TIME_SIZE]);

#endif
