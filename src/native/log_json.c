/* docker's json-file: {"log":"text\n","stream":"stdout","attrs":{"name":"value"},"time":"2026-01-02T03:04:05.123456789Z"} */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_driver.h"

#define OVERHEAD ((size_t)128) /* everything but the text and the attributes */

static char *append(char *to, const char *text, size_t length)
{
	memcpy(to, text, length);
	return to + length;
}

static int put(struct fb_log *log, const struct fb_log_entry *entry)
{
	char *start = fb_log_file_room(log, entry->length * FB_QUOTE_WORST + log->fields_length + OVERHEAD);
	char *at = append(start, "{\"log\":\"", 8);

	at += fb_quote(at, entry->text, entry->length);
	if (entry->ended)
		at = append(at, "\\n", 2);
	at = append(at, entry->stream == 1 ? "\",\"stream\":\"stdout\"," : "\",\"stream\":\"stderr\",", 20);
	if (log->fields)
		at = append(at, log->fields, log->fields_length);
	at = append(at, "\"time\":\"", 8);
	at = append(at, entry->time, FB_TIME_SIZE - 1);
	at = append(at, "\"}\n", 3);
	fb_log_file_commit(log, (size_t)(at - start));
	return 0;
}

/* "attrs":{...}, as it stands in each line. */
static int encode_attrs(struct fb_log *log, const struct fb_strv *attrs, struct fb_error *err)
{
	size_t most = 16;
	char *at;

	if (!attrs->count)
		return 0;
	for (size_t i = 0; i < attrs->count; i++)
		most += strlen(attrs->items[i]) * FB_QUOTE_WORST + 4;
	log->fields = malloc(most);
	if (!log->fields)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
	at = append(log->fields, "\"attrs\":{", 9);
	for (size_t i = 0; i < attrs->count; i++) {
		*at++ = '"';
		at += fb_quote(at, attrs->items[i], strlen(attrs->items[i]));
		*at++ = '"';
		*at++ = i % 2 ? ',' : ':';
	}
	at[-1] = '}';
	*at++ = ',';
	log->fields_length = (size_t)(at - log->fields);
	if (log->fields_length > FB_LOG_FIELDS)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, E2BIG, "log", NULL,
				    "labels and environment for each line are over 32 KiB");
	return 0;
}

int fb_log_json_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	static const struct fb_log_ops ops = {.put = put, .flush = fb_log_file_flush};
	int r = encode_attrs(log, &spec->attrs, err);
	char last;

	if (r == 0)
		r = fb_log_file_open(log, spec, err);
	if (r < 0)
		return r;
	/* A last line that a killed writer left without its end gets one. */
	if (log->size && pread(log->fd, &last, 1, (off_t)log->size - 1) == 1 && last != '\n' &&
	    write(log->fd, "\n", 1) == 1)
		log->size++;
	log->ops = &ops;
	return 0;
}
