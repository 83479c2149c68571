#include "quote.h"

#include <stdio.h>
#include <string.h>

static size_t sequence_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* The length of the valid character at `s`, or 0: overlong forms, surrogates and numbers beyond U+10FFFF are not valid. */
static size_t character(const unsigned char *s, size_t left)
{
	size_t length = sequence_length(s[0]);

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

#define PLAIN_8 1, 1, 1, 1, 1, 1, 1, 1
static const unsigned char is_plain[256] = {
	[0x20] = 1, 1, 0, 1, 1, 1, 0, 1, PLAIN_8,		   /* not " and & */
	PLAIN_8, 1, 1, 1, 1, 0, 1, 0, 1,			   /* not < and > */
	PLAIN_8, PLAIN_8, PLAIN_8, 1, 1, 1, 1, 0, 1, 1, 1,	   /* not the backslash */
	PLAIN_8, PLAIN_8, PLAIN_8, PLAIN_8};

static size_t escape(char *to, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char from[] = "\"\\\n\r\t", names[] = "\"\\nrt";
	const char *known = c ? strchr(from, c) : NULL;

	to[0] = '\\';
	if (known) {
		to[1] = names[known - from];
		return 2;
	}
	memcpy(to + 1, "u00", 3);
	to[4] = digits[c >> 4];
	to[5] = digits[c & 15];
	return 6;
}

size_t fb_quote(char *to, const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + length;
	char *start = to;

	while (s < end) {
		const unsigned char *run = s;
		size_t n;

		while (s < end && is_plain[*s])
			s++;
		memcpy(to, run, (size_t)(s - run));
		to += s - run;
		if (s == end)
			break;
		if (*s < 0x80) {
			to += escape(to, *s++);
			continue;
		}
		n = character(s, (size_t)(end - s));
		if (n == 0) {
			memcpy(to, "\\ufffd", 6);
			to += 6;
			s++;
		} else if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] & 0xfe) == 0xa8) {
			/* U+2028 and U+2029 end a line for JavaScript: Go escapes them. */
			memcpy(to, s[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
			to += 6;
			s += 3;
		} else {
			memcpy(to, s, n);
			to += n;
			s += n;
		}
	}
	return (size_t)(to - start);
}

void fb_quote_string(char *to, size_t size, const char *text)
{
	size_t length = strlen(text), most = (size - 1) / FB_QUOTE_WORST;

	if (length > most)
		length = most;
	to[fb_quote(to, text, length)] = '\0';
}

size_t fb_quote_cut(const char *text, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		unsigned char c = (unsigned char)text[length - back];

		if (c < 0x80)
			return 0;
		if (c >= 0xc0)
			return sequence_length(c) > back ? back : 0;
	}
	return 0;
}

/* By arithmetic on the civil calendar: gmtime_r reads the zone file and allocates. */
void fb_time_format(const struct timespec *time, char to[FB_TIME_SIZE])
{
	unsigned long days = (unsigned long)time->tv_sec / 86400;
	unsigned seconds = (unsigned)((unsigned long)time->tv_sec % 86400);
	unsigned long z = days + 719468, era = z / 146097, doe = z % 146097;
	unsigned long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned long doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	unsigned year = (unsigned)(yoe + era * 400 + (month <= 2)) % 10000;

	snprintf(to, FB_TIME_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", year, month % 13, day % 32,
		 seconds / 3600 % 24, seconds / 60 % 60, seconds % 60,
		 (unsigned)time->tv_nsec % 1000000000);
}
