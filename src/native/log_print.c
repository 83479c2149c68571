#include <string.h>
#include <time.h>

#include "log_json.h"
#include "quote.h"

#define SCRATCH_WORST 3 /* bytes that one byte of an attribute may become */

/* As Go's url.QueryEscape. */
static char *escape(char *to, const char *text, size_t length)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		char low = (char)(c | 0x20);

		if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-_.~", c))) {
			*to++ = (char)c;
		} else if (c == ' ') {
			*to++ = '+';
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return to;
}

/* "name=value,name=value", from an object of strings. Its strings are decoded behind the output, where there is room for them. */
static char *put_attrs(char *to, const struct fb_log_record *record)
{
	const char *at = record->attrs + 1, *end = record->attrs + record->attrs_length;
	char *scratch = to + record->attrs_length * SCRATCH_WORST;
	bool name = true;
	size_t length;

	while (at < end && *at != '}') {
		if (*at == '"') {
			if (!(at = fb_log_json_string(at, end, scratch, &length)))
				break;
			to = escape(to, scratch, length);
			continue;
		}
		if (*at == ':' || *at == ',') {
			name = *at == ',';
			*to++ = name ? ',' : '=';
		}
		at++;
	}
	return to;
}

static char *put_record(char *to, const struct fb_log_record *record, const struct fb_log_print *print)
{
	struct timespec when = {record->when / 1000000000, record->when % 1000000000};

	if (print->timestamps) {
		fb_time_format(&when, to);
		to += FB_TIME_SIZE - 1;
		*to++ = ' ';
	}
	if (print->details) {
		if (record->attrs)
			to = put_attrs(to, record);
		*to++ = ' ';
	}
	memmove(to, record->text, record->length);
	to += record->length;
	if (record->ended)
		*to++ = '\n';
	return to;
}

size_t fb_log_print(enum fb_log_kind kind, const char *data, size_t length, const struct fb_log_print *print, char *out,
		    size_t size, struct fb_log_run *runs, size_t max_runs, size_t *ret_runs, bool *ret_over)
{
	size_t done = 0, used = 0, count = 0;
	struct fb_log_record record;
	bool found;

	*ret_over = false;
	while (done < length) {
		size_t left = length - done, end, most, taken;
		char *text;

		/* Decoded at the end of the room, printed from its beginning on. */
		if (size - used < left)
			break;
		text = out + size - left;
		taken = fb_log_read(kind, data + done, left, text, &record, &found);
		if (!taken)
			break;
		if (found && record.when > print->until) {
			*ret_over = true;
			break;
		}
		if (found && record.when >= print->since) {
			most = record.length + FB_TIME_SIZE + 8 + record.attrs_length * (SCRATCH_WORST + 1);
			if ((size_t)(text - out) - used < most)
				break;
			end = (size_t)(put_record(out + used, &record, print) - out);
			if (count && runs[count - 1].stream == record.stream) {
				runs[count - 1].end = end;
			} else if (count == max_runs) {
				break;
			} else {
				runs[count++] = (struct fb_log_run){record.stream, end};
			}
			used = end;
		}
		done += taken;
	}
	*ret_runs = count;
	return done;
}
