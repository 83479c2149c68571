/* Archives made by hand, also ones that no tool would write. For tests and the fuzzer's seeds. */
#ifndef TAR_MAKE_H
#define TAR_MAKE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct make {
	uint8_t *data;
	size_t length, room;
	size_t header; /* offset of the last header */
};

static inline void mk_bytes(struct make *m, const void *data, size_t length)
{
	if (m->length + length > m->room) {
		m->room = (m->length + length) * 2;
		m->data = realloc(m->data, m->room);
		if (!m->data)
			abort();
	}
	if (data)
		memcpy(m->data + m->length, data, length);
	else
		memset(m->data + m->length, 0, length);
	m->length += length;
}

static inline void mk_pad(struct make *m)
{
	mk_bytes(m, NULL, -m->length & 511);
}

static inline void mk_sum(struct make *m)
{
	uint8_t *header = m->data + m->header;
	unsigned sum = 0;

	memset(header + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

/* Change bytes of the last header. */
static inline void mk_poke(struct make *m, size_t at, const void *data, size_t length)
{
	memcpy(m->data + m->header + at, data, length);
	mk_sum(m);
}

static inline void mk_header(struct make *m, const char *name, char type, unsigned mode,
			     uint64_t size, const char *link)
{
	char *h;

	m->header = m->length;
	mk_bytes(m, NULL, 512);
	h = (char *)m->data + m->header;
	strncpy(h, name, 100);
	snprintf(h + 100, 8, "%07o", mode);
	snprintf(h + 108, 8, "%07o", 0);
	snprintf(h + 116, 8, "%07o", 0);
	snprintf(h + 124, 12, "%011llo", (unsigned long long)(size & 077777777777));
	snprintf(h + 136, 12, "%011o", 1000000000);
	h[156] = type;
	strncpy(h + 157, link ? link : "", 100);
	memcpy(h + 257, "ustar\00000", 8);
	mk_sum(m);
}

static inline void mk_owner(struct make *m, unsigned uid, unsigned gid)
{
	char text[17];

	snprintf(text, sizeof(text), "%07o%c%07o", uid, 0, gid);
	mk_poke(m, 108, text, 16);
}

static inline void mk_device(struct make *m, unsigned major, unsigned minor)
{
	char text[17];

	snprintf(text, sizeof(text), "%07o%c%07o", major, 0, minor);
	mk_poke(m, 329, text, 16);
}

static inline void mk_file(struct make *m, const char *name, const char *text)
{
	mk_header(m, name, '0', 0644, strlen(text), NULL);
	mk_bytes(m, text, strlen(text));
	mk_pad(m);
}

static inline void mk_dir(struct make *m, const char *name, unsigned mode)
{
	mk_header(m, name, '5', mode, 0, NULL);
}

static inline void mk_symlink(struct make *m, const char *name, const char *target)
{
	mk_header(m, name, '2', 0777, 0, target);
}

static inline void mk_hard(struct make *m, const char *name, const char *target)
{
	mk_header(m, name, '1', 0644, 0, target);
}

/* A header of type x, g, L or K with its data. */
static inline void mk_meta(struct make *m, char type, const void *data, size_t length)
{
	mk_header(m, "meta", type, 0644, length, NULL);
	mk_bytes(m, data, length);
	mk_pad(m);
}

static inline size_t mk_record(char *to, size_t size, const char *key, const void *value,
			       size_t length)
{
	size_t body = 1 + strlen(key) + 1 + length + 1, total = body + 1;
	char digits[24];
	int n;

	while (total != body + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
		total++;
	if (total > size)
		abort();
	n = sprintf(to, "%zu %s=", total, key);
	memcpy(to + n, value, length);
	to[total - 1] = '\n';
	return total;
}

/* A pax header of `type` with pairs of key and value, ended by NULL. */
static inline void mk_pax(struct make *m, char type, ...)
{
	char *text = malloc(2 << 20);
	size_t length = 0;
	const char *key;
	va_list list;

	va_start(list, type);
	while ((key = va_arg(list, const char *))) {
		const char *value = va_arg(list, const char *);

		length += mk_record(text + length, (2 << 20) - length, key, value, strlen(value));
	}
	va_end(list);
	mk_meta(m, type, text, length);
	free(text);
}

static inline void mk_end(struct make *m)
{
	mk_bytes(m, NULL, 1024);
}

static inline void mk_free(struct make *m)
{
	free(m->data);
	*m = (struct make){0};
}

/* The bytes as a descriptor at offset 0. */
static inline int mk_fd(const void *data, size_t length)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	for (size_t at = 0; at < length;) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + at, length - at, (off_t)at);

		if (n <= 0)
			abort();
		at += (size_t)n;
	}
	return fd;
}

#endif
