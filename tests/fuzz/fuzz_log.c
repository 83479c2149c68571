/* Blocks of log files, of docker's two formats, as records and as text to print. The first byte of the input picks the format and how much room
 * there is. Every byte of a block is done with or waited for, and what is read does not depend on how the block was cut.
 */
#include <string.h>

#include "fuzz.h"
#include "log_read.h"

struct seen {
	size_t records, bytes, done;
	int64_t when;
};

static struct seen read_all(enum fb_log_kind kind, const char *data, size_t length, size_t cut)
{
	char *block = malloc(length + 1), *to = malloc(length + 1);
	struct fb_log_record record;
	struct seen seen = {0};
	size_t taken, left;
	bool found;

	stop_unless(block && to);
	memcpy(block, data, length);
	while (seen.done < length) {
		left = seen.done < cut ? cut - seen.done : length - seen.done;
		taken = fb_log_read(kind, block + seen.done, left, to, &record, &found);
		stop_unless(taken <= left);
		if (!taken && seen.done < cut) {
			cut = 0;
			continue;
		}
		if (!taken)
			break;
		if (found) {
			stop_unless(record.stream == 1 || record.stream == 2);
			stop_unless(record.length <= taken && (!record.attrs || record.attrs_length <= taken));
			seen.records++;
			seen.bytes += record.length;
			seen.when += record.when % 1000;
		}
		seen.done += taken;
	}
	free(block);
	free(to);
	return seen;
}

static void print_all(enum fb_log_kind kind, const char *data, size_t length, size_t size, bool more, size_t records)
{
	struct fb_log_print wish = {.since = INT64_MIN, .until = INT64_MAX, .timestamps = more, .details = more};
	struct fb_log_run runs[3];
	size_t done = 0, taken, count, printed = 0;
	char *out = malloc(size + 1);
	bool over;

	stop_unless(out);
	while (done < length) {
		taken = fb_log_print(kind, data + done, length - done, &wish, out, size, runs, 3, &count, &over);
		stop_unless(taken <= length - done && count <= 3 && !over);
		for (size_t i = 0; i < count; i++) {
			stop_unless(runs[i].end <= size && (i == 0 || runs[i].end >= runs[i - 1].end));
			stop_unless(i == 0 || runs[i].stream != runs[i - 1].stream);
		}
		printed += count;
		if (!taken)
			break;
		done += taken;
	}
	stop_unless(printed <= records && (printed || !records || size < 6 * length + 4096));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *block = (const char *)data + 1;
	enum fb_log_kind kind;
	struct seen whole, cut;

	if (size < 2)
		return 0;
	kind = data[0] & 1 ? FB_LOG_KIND_LOCAL : FB_LOG_KIND_JSON;
	whole = read_all(kind, block, size - 1, size - 1);
	cut = read_all(kind, block, size - 1, (size - 1) * (data[0] >> 4) / 16);
	stop_unless(kind == FB_LOG_KIND_LOCAL || memcmp(&whole, &cut, sizeof(whole)) == 0);
	print_all(kind, block, size - 1, 6 * (size - 1) + 4096, data[0] & 2, whole.records);
	print_all(kind, block, size - 1, (size - 1) + (data[0] >> 4) * 16, data[0] & 2, whole.records);
	return 0;
}

#ifdef FUZZ_STANDALONE

static void add_seed(uint8_t first, const char *text, size_t length)
{
	struct make *m = &seeds[seed_count++];

	mk_bytes(m, &first, 1);
	mk_bytes(m, text, length);
}

void fuzz_begin(void)
{
	static const char lines[] =
		"{\"log\":\"one \\u20ac \\ud83d\\ude00\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b c\",\"d\":\"\\\"\"},\"time\":\"2026-01-02T03:04:05.123456789Z\"}\n"
		"garbage\n"
		"{\"time\":\"2026-01-02T03:04:05+01:00\",\"stream\":\"stderr\",\"log\":\"two\",\"x\":[{\"y\":1}]}\n"
		"{\"log\":\"unfinished";
	static const char frames[] =
		"\0\0\0\x10\x0a\x06stdout\x10\x05\x1a\x04text\0\0\0\x10"
		"damage\0\0\0\x1a\x0a\x06stderr\x10\x05\x1a\x04part\x20\x01\x2a\x06\x08\x01\x12\x02id\0\0\0\x1a\0\0";

	for (int room = 0; room < 16; room += 5) {
		add_seed((uint8_t)(room << 4), lines, sizeof(lines) - 1);
		add_seed((uint8_t)(room << 4 | 3), frames, sizeof(frames) - 1);
	}
}

const struct make *fuzz_seed(void)
{
	return &seeds[random_below((uint64_t)seed_count)];
}

void fuzz_mutate(struct make *m)
{
	static const char marks[] = "\"\\u{}[],:\n\0\x0a\x10\x1a\x20\x2a\xff";

	for (uint64_t changes = 1 + random_below(6); changes--;) {
		size_t at = random_below(m->length), from = random_below(m->length);

		switch (random_below(5)) {
		case 0:
			m->data[at] ^= (uint8_t)(1u << random_below(8));
			break;
		case 1:
			m->data[at] = (uint8_t)marks[random_below(sizeof(marks) - 1)];
			break;
		case 2:
			m->length = at + 1;
			break;
		case 3:
			memmove(m->data + at, m->data + from, m->length - (at > from ? at : from));
			break;
		default:
			if (m->length < 4096) {
				size_t length = m->length;

				mk_bytes(m, NULL, length - from);
				memcpy(m->data + length, m->data + from, length - from);
			}
		}
	}
}

void fuzz_end(void)
{
}

#endif
