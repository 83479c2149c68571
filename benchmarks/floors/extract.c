/* The floor under the extraction of a layer: one thread that inflates, hashes both streams, and
 * makes the files with the fewest system calls that give them their names, bytes, modes and times.
 *
 *   extract ARCHIVE DIRECTORY
 *
 * It trusts the archive (gzip or zstd, one member or frame, of plain ustar, parents first), which
 * is the one thing that nobody who extracts an image may do: names are resolved by the kernel as
 * they stand.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK ((size_t)512)
#define ROOM ((size_t)256 << 10)

struct source {
	int fd;
	struct inflate_state state; /* its next_in and avail_in are zstd's as well */
	ZSTD_DCtx *zstd;	    /* NULL: gzip */
	EVP_MD_CTX *packed, *plain;
	uint8_t in[ROOM], out[ROOM];
	size_t at, end; /* what is left of `out` */
};

static void die(const char *what)
{
	fprintf(stderr, "floor of extraction: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* 1 while there is more. */
static bool more(struct source *s)
{
	ssize_t n = s->state.avail_in ? 0 : read(s->fd, s->in, ROOM);

	if (s->state.avail_in || n <= 0)
		return s->state.avail_in;
	EVP_DigestUpdate(s->packed, s->in, (size_t)n);
	s->state.next_in = s->in;
	s->state.avail_in = (uint32_t)n;
	return true;
}

static void unpack_zstd(struct source *s)
{
	ZSTD_inBuffer in = {s->state.next_in, s->state.avail_in, 0};
	ZSTD_outBuffer out = {s->state.next_out, s->state.avail_out, 0};

	if (ZSTD_isError(ZSTD_decompressStream(s->zstd, &out, &in)))
		die("zstd");
	s->state.next_in += in.pos;
	s->state.avail_in -= (uint32_t)in.pos;
	s->state.next_out += out.pos;
	s->state.avail_out -= (uint32_t)out.pos;
}

/* Fill `out`: whole blocks, since tar's length is a multiple of them. */
static bool refill(struct source *s)
{
	s->state.next_out = s->out;
	s->state.avail_out = ROOM;
	while (s->state.avail_out && s->state.block_state != ISAL_BLOCK_FINISH && more(s)) {
		if (s->zstd)
			unpack_zstd(s);
		else if (isal_inflate(&s->state) != ISAL_DECOMP_OK)
			die("inflate");
	}
	while (s->zstd && s->state.avail_out) { /* what it still holds after the last input */
		uint32_t before = s->state.avail_out;

		unpack_zstd(s);
		if (s->state.avail_out == before)
			break;
	}
	s->at = 0;
	s->end = ROOM - s->state.avail_out;
	EVP_DigestUpdate(s->plain, s->out, s->end);
	return s->end > 0;
}

static size_t octal(const uint8_t *text, size_t width)
{
	size_t value = 0;

	for (size_t i = 0; i < width && text[i] >= '0' && text[i] <= '7'; i++)
		value = value * 8 + (size_t)(text[i] - '0');
	return value;
}

static void copy(struct source *s, int fd, size_t size)
{
	size_t padding = (BLOCK - size % BLOCK) % BLOCK;

	while (size) {
		size_t piece = s->end - s->at;

		if (!piece && !refill(s))
			die("the archive is cut");
		piece = s->end - s->at < size ? s->end - s->at : size;
		if (write(fd, s->out + s->at, piece) != (ssize_t)piece)
			die("write");
		s->at += piece;
		size -= piece;
	}
	s->at += padding; /* blocks are never cut: it is in the buffer */
}

static void name_of(const uint8_t *header, char name[260])
{
	snprintf(name, 260, "%.155s%s%.100s", header + 345, header[345] ? "/" : "", header);
}

/* What has no data. 0 or -1. */
static int place_other(int root, const uint8_t *header, const char *name, mode_t mode)
{
	char target[101];

	snprintf(target, sizeof(target), "%.100s", header + 157);
	switch (header[156]) {
	case '1':
		return linkat(root, target, root, name, 0);
	case '2':
		return symlinkat(target, root, name);
	case '3':
	case '4':
		return mknodat(root, name, mode | (header[156] == '3' ? S_IFCHR : S_IFBLK),
			       makedev((unsigned)octal(header + 329, 7),
				       (unsigned)octal(header + 337, 7)));
	default:
		return mkdirat(root, name, mode);
	}
}

static void place(struct source *s, int root, const uint8_t *header)
{
	struct timespec times[2] = {{.tv_sec = (time_t)octal(header + 136, 11)}};
	mode_t mode = (mode_t)octal(header + 100, 7) & 07777;
	uid_t uid = (uid_t)octal(header + 108, 7);
	gid_t gid = (gid_t)octal(header + 116, 7);
	size_t size = octal(header + 124, 11);
	bool owned = uid || gid;
	char name[260];
	int fd;

	times[1] = times[0];
	name_of(header, name);
	if (header[156] != '0') {
		if (place_other(root, header, name, mode) ||
		    (owned && header[156] != '1' &&
		     fchownat(root, name, uid, gid, AT_SYMLINK_NOFOLLOW)))
			die(name);
		return;
	}
	fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		die(name);
	copy(s, fd, size);
	if (owned && (fchown(fd, uid, gid) || fchmod(fd, mode)))
		die(name);
	if (futimens(fd, times))
		die(name);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct source source;
	int root = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	uint8_t header[BLOCK];
	uint8_t digest[64], magic[4] = {0};

	if (root < 0)
		die("usage: extract ARCHIVE DIRECTORY");
	umask(0);
	source.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	source.packed = EVP_MD_CTX_new();
	source.plain = EVP_MD_CTX_new();
	if (source.fd < 0 || !EVP_DigestInit(source.packed, EVP_sha256()) ||
	    !EVP_DigestInit(source.plain, EVP_sha256()))
		die(argv[1]);
	if (pread(source.fd, magic, sizeof(magic), 0) == 4 && magic[0] == 0x28)
		source.zstd = ZSTD_createDCtx();
	isal_inflate_init(&source.state);
	source.state.crc_flag = ISAL_GZIP;
	while (source.at < source.end || refill(&source)) {
		memcpy(header, source.out + source.at, BLOCK);
		source.at += BLOCK;
		if (header[0])
			place(&source, root, header);
	}
	EVP_DigestFinal(source.packed, digest, NULL);
	EVP_DigestFinal(source.plain, digest, NULL);
	return 0;
}
