#include "log_json.h"

#include <string.h>

static const char *space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
		at++;
	return at;
}

static int hex4(const char *at, const char *end)
{
	int value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = at[i], low = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (low >= 'a' && low <= 'f')
			value = value << 4 | (low - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static char *utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* After "\u". Half of a surrogate pair is U+FFFD. */
static const char *unicode(const char *at, const char *end, char **to)
{
	int c = hex4(at, end), low;

	if (c < 0)
		return NULL;
	at += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
	    (low = hex4(at + 2, end)) >= 0xdc00 && low < 0xe000) {
		at += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xd800 && c < 0xe000) {
		c = 0xfffd;
	}
	*to = utf8(*to, (unsigned)c);
	return at;
}

const char *fb_log_json_string(const char *at, const char *end, char *to, size_t *ret_length)
{
	static const char from[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char *start = to;

	if (at >= end || *at++ != '"')
		return NULL;
	while (at < end) {
		const char *run = at, *known;

		while (at < end && *at != '"' && *at != '\\')
			at++;
		memcpy(to, run, (size_t)(at - run));
		to += at - run;
		if (at >= end)
			return NULL;
		if (*at++ == '"') {
			*ret_length = (size_t)(to - start);
			return at;
		}
		if (at >= end || !*at)
			return NULL;
		if (*at == 'u') {
			if (!(at = unicode(at + 1, end, &to)))
				return NULL;
		} else if ((known = strchr(from, *at++))) {
			*to++ = values[known - from];
		} else {
			return NULL;
		}
	}
	return NULL;
}

/* Past a value of any kind. */
static const char *skip(const char *at, const char *end)
{
	unsigned depth = 0;

	while (at < end) {
		if (*at == '"') {
			for (at++; at < end && *at != '"'; at++)
				if (*at == '\\')
					at++;
			if (at >= end)
				return NULL;
		} else if (*at == '{' || *at == '[') {
			depth++;
		} else if (*at == '}' || *at == ']') {
			if (!depth)
				return at; /* the end of what the value is in */
			depth--;
		} else if (*at == ',' && !depth) {
			return at;
		}
		at++;
		if (!depth && (at[-1] == '"' || at[-1] == '}' || at[-1] == ']'))
			return at;
	}
	return NULL;
}

static bool digits(const char **at, const char *end, int count, int *ret)
{
	*ret = 0;
	for (; count; count--, (*at)++) {
		if (*at >= end || **at < '0' || **at > '9')
			return false;
		*ret = *ret * 10 + (**at - '0');
	}
	return true;
}

static bool one_of(const char **at, const char *end, const char *set)
{
	return *at < end && **at && strchr(set, *(*at)++);
}

bool fb_log_time(const char *text, size_t length, int64_t *ret_when)
{
	const char *at = text, *end = text + length;
	int year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0, sign = 0;
	int64_t fraction = 0, scale = 1000000000, era, days;

	if (!digits(&at, end, 4, &year) || !one_of(&at, end, "-") || !digits(&at, end, 2, &month) ||
	    !one_of(&at, end, "-") || !digits(&at, end, 2, &day) || !one_of(&at, end, "Tt ") ||
	    !digits(&at, end, 2, &hour) || !one_of(&at, end, ":") || !digits(&at, end, 2, &minute) ||
	    !one_of(&at, end, ":") || !digits(&at, end, 2, &second))
		return false;
	if (at < end && *at == '.')
		for (at++; at < end && *at >= '0' && *at <= '9'; at++)
			if (scale > 1) {
				scale /= 10;
				fraction += (*at - '0') * scale;
			}
	if (at < end && (*at == '+' || *at == '-')) {
		sign = *at++ == '-' ? 1 : -1;
		if (!digits(&at, end, 2, &zone_hour) || !one_of(&at, end, ":") || !digits(&at, end, 2, &zone_minute))
			return false;
	} else if (at >= end || (*at++ | 0x20) != 'z') {
		return false;
	}
	if (month < 1 || month > 12 || year < 1970 || year > 2261)
		return false;
	/* Years begin in March here, so that the leap day comes last. */
	year -= month <= 2;
	era = year / 400;
	year -= (int)era * 400;
	days = era * 146097 + year * 365 + year / 4 - year / 100 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719468;
	*ret_when = ((days * 24 + hour + sign * zone_hour) * 60 + minute + sign * zone_minute) * 60000000000 +
		    second * (int64_t)1000000000 + fraction;
	return at == end;
}

struct found {
	bool log, stream, time;
};

/* A member's value: NULL when it is not what it has to be. */
static const char *member(const char *key, size_t key_length, const char *at, const char *end, char *to,
			  struct fb_log_record *record, struct found *found)
{
	const char *next = NULL;

	if (key_length == 3 && memcmp(key, "log", 3) == 0 && !found->log) {
		next = fb_log_json_string(at, end, to, &record->length);
		record->text = to;
		found->log = next != NULL;
	} else if (key_length == 6 && memcmp(key, "stream", 6) == 0 && end - at > 8) {
		record->stream = memcmp(at, "\"stdout\"", 8) == 0 ? 1 : memcmp(at, "\"stderr\"", 8) == 0 ? 2 : 0;
		found->stream = record->stream != 0;
		next = found->stream ? at + 8 : NULL;
	} else if (key_length == 4 && memcmp(key, "time", 4) == 0 && (next = skip(at, end))) {
		found->time = next - at > 2 && *at == '"' && fb_log_time(at + 1, (size_t)(next - at) - 2, &record->when);
	} else if (key_length == 5 && memcmp(key, "attrs", 5) == 0 && at < end && *at == '{' && (next = skip(at, end))) {
		record->attrs = at;
		record->attrs_length = (size_t)(next - at);
	} else if (!next) {
		next = skip(at, end);
	}
	return next;
}

bool fb_log_json_line(const char *line, size_t length, char *to, struct fb_log_record *ret_record)
{
	const char *at = space(line, line + length), *end = line + length, *key;
	struct found found = {0};
	size_t key_length;

	*ret_record = (struct fb_log_record){.text = to};
	if (at >= end || *at++ != '{')
		return false;
	while ((at = space(at, end)) < end && *at == '"') {
		key = at + 1;
		if (!(at = skip(at, end)))
			return false;
		key_length = (size_t)(at - key) - 1;
		at = space(at, end);
		if (at >= end || *at++ != ':')
			return false;
		at = member(key, key_length, space(at, end), end, to, ret_record, &found);
		if (!at || (at = space(at, end)) >= end)
			return false;
		if (*at++ == ',')
			continue;
		if (at[-1] != '}' || !found.log || !found.stream || !found.time)
			return false;
		ret_record->ended = ret_record->length && to[ret_record->length - 1] == '\n';
		ret_record->length -= ret_record->ended;
		return space(at, end) == end;
	}
	return false;
}
