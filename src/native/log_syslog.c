/* docker's syslog driver: one message a line, in the forms of RFC 3164 or RFC 5424. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log_driver.h"

/* What fb_log keeps in `fields`. */
struct settings {
	unsigned facility;
	enum fb_log_format format;
	char tag[256], hostname[256];
};

static char *stamp(char *to, const struct timespec *when, enum fb_log_format format)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm t;
	long zone;

	localtime_r(&when->tv_sec, &t);
	if (format == FB_LOG_FORMAT_UNIX || format == FB_LOG_FORMAT_RFC3164)
		return to + sprintf(to, "%s %2d %02d:%02d:%02d", months[t.tm_mon % 12], t.tm_mday, t.tm_hour,
				    t.tm_min, t.tm_sec);
	to += sprintf(to, "%04d-%02d-%02dT%02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
		      t.tm_min, t.tm_sec);
	if (format == FB_LOG_FORMAT_RFC5424_MICRO)
		to += sprintf(to, ".%06ld", when->tv_nsec / 1000);
	zone = t.tm_gmtoff / 60;
	if (zone == 0)
		return stpcpy(to, "Z");
	return to + sprintf(to, "%c%02ld:%02ld", zone < 0 ? '-' : '+', labs(zone) / 60, labs(zone) % 60);
}

static int put(struct fb_log *log, const struct fb_log_entry *entry)
{
	const struct settings *set = (const void *)log->fields;
	unsigned priority = set->facility << 3 | (entry->stream == 1 ? 6 : 3);
	char *at = log->buffer, time[80];

	stamp(time, &entry->when, set->format);
	switch (set->format) {
	case FB_LOG_FORMAT_UNIX:
		at += sprintf(at, "<%u>%s %s[%d]: ", priority, time, set->tag, getpid());
		break;
	case FB_LOG_FORMAT_RFC3164:
		at += sprintf(at, "<%u>%s %s %s[%d]: ", priority, time, set->hostname, set->tag, getpid());
		break;
	default:
		at += sprintf(at, "<%u>1 %s %s %s %d %s - ", priority, time, set->hostname, set->tag, getpid(),
			      set->tag);
	}
	memcpy(at, entry->text, entry->length);
	at += entry->length;
	*at++ = '\n';
	return fb_log_peer_send(log, log->buffer, (size_t)(at - log->buffer));
}

static void flush(struct fb_log *log)
{
	(void)log; /* each line is sent by itself */
}

int fb_log_syslog_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	static const struct fb_log_ops ops = {.put = put, .flush = flush};
	struct settings *set = calloc(1, sizeof(*set));

	if (!set)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
	log->fields = (char *)set;
	set->facility = spec->facility;
	set->format = spec->format;
	snprintf(set->tag, sizeof(set->tag), "%s", spec->tag ? spec->tag : "");
	if (gethostname(set->hostname, sizeof(set->hostname) - 1) < 0)
		set->hostname[0] = '-';
	log->ops = &ops;
	return fb_log_peer_open(log, spec, err);
}
