/* docker's journald driver over journald's own protocol: a datagram of FIELD=value lines, or FIELD, a little-endian size and the value where
 * that holds a newline. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log_driver.h"

static char *field(char *to, const char *name, const char *value, size_t length)
{
	uint64_t size = htole64(length);

	to = stpcpy(to, name);
	if (memchr(value, '\n', length)) {
		*to++ = '\n';
		memcpy(to, &size, sizeof(size));
		to += sizeof(size);
	} else {
		*to++ = '=';
	}
	memcpy(to, value, length);
	to += length;
	*to++ = '\n';
	return to;
}

static int put(struct fb_log *log, const struct fb_log_entry *entry)
{
	char *at = log->buffer;

	memcpy(at, log->fields, log->fields_length);
	at += log->fields_length;
	at = field(at, "PRIORITY", entry->stream == 1 ? "6" : "3", 1);
	at = field(at, "SYSLOG_TIMESTAMP", entry->time, strlen(entry->time));
	if (entry->partial) {
		if (!entry->ended)
			at = field(at, "CONTAINER_PARTIAL_MESSAGE", "true", 4);
		at = field(at, "CONTAINER_PARTIAL_ID", entry->partial->id, 64);
		at += sprintf(at, "CONTAINER_PARTIAL_ORDINAL=%u\nCONTAINER_PARTIAL_LAST=%s\n",
			      entry->partial->pieces, entry->ended ? "true" : "false");
	}
	at = field(at, "MESSAGE", entry->text, entry->length);
	return fb_log_peer_send(log, log->buffer, (size_t)(at - log->buffer));
}

static void flush(struct fb_log *log)
{
	(void)log; /* each line is a datagram */
}

int fb_log_journald_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	static const struct fb_log_ops ops = {.put = put, .flush = flush};
	size_t most = 1;
	char *at;

	for (size_t i = 0; i < spec->attrs.count; i++)
		most += strlen(spec->attrs.items[i]) + 16;
	if (most > FB_LOG_FIELDS)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, E2BIG, "log", NULL,
				    "labels and environment for each line are over 32 KiB");
	at = log->fields = malloc(most);
	if (!at)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
	for (size_t i = 0; i + 1 < spec->attrs.count; i += 2)
		at = field(at, spec->attrs.items[i], spec->attrs.items[i + 1],
			   strlen(spec->attrs.items[i + 1]));
	log->fields_length = (size_t)(at - log->fields);
	log->ops = &ops;
	return fb_log_peer_open(log, spec, err);
}
