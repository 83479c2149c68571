/* The floor under the extraction of a layer: one thread that inflates, hashes both streams, and
 * makes the files with the fewest system calls that give them their names, bytes, modes and times.
 *
 *   extract ARCHIVE DIRECTORY
 *
 * It trusts the archive (gzip of plain ustar with directories and files, parents first), which is
 * the one thing that nobody who extracts an image may do: names are resolved by the kernel as they
 * stand.
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
#include <unistd.h>

#define BLOCK ((size_t)512)
#define ROOM ((size_t)256 << 10)

struct source {
	int fd;
	struct inflate_state state;
	EVP_MD_CTX *packed, *plain;
	uint8_t in[ROOM], out[ROOM];
	size_t at, end; /* what is left of `out` */
};

static void die(const char *what)
{
	fprintf(stderr, "floor of extraction: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Fill `out`: whole blocks, since tar's length is a multiple of them. */
static bool refill(struct source *s)
{
	s->state.next_out = s->out;
	s->state.avail_out = ROOM;
	while (s->state.avail_out && s->state.block_state != ISAL_BLOCK_FINISH) {
		if (!s->state.avail_in) {
			ssize_t n = read(s->fd, s->in, ROOM);

			if (n <= 0)
				break;
			EVP_DigestUpdate(s->packed, s->in, (size_t)n);
			s->state.next_in = s->in;
			s->state.avail_in = (uint32_t)n;
		}
		if (isal_inflate(&s->state) != ISAL_DECOMP_OK)
			die("inflate");
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

static void place(struct source *s, int root, const uint8_t *header)
{
	struct timespec times[2] = {{.tv_sec = (time_t)octal(header + 136, 11)}};
	mode_t mode = (mode_t)octal(header + 100, 7);
	size_t size = octal(header + 124, 11);
	char name[260];
	int fd;

	times[1] = times[0];
	snprintf(name, sizeof(name), "%.155s%s%.100s", header + 345, header[345] ? "/" : "",
		 header);
	if (header[156] == '5') {
		if (mkdirat(root, name, mode))
			die(name);
		return;
	}
	fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		die(name);
	copy(s, fd, size);
	if (futimens(fd, times))
		die(name);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct source source;
	int root = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	uint8_t header[BLOCK];
	uint8_t digest[64];

	if (root < 0)
		die("usage: extract ARCHIVE DIRECTORY");
	umask(0);
	source.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	source.packed = EVP_MD_CTX_new();
	source.plain = EVP_MD_CTX_new();
	if (source.fd < 0 || !EVP_DigestInit(source.packed, EVP_sha256()) ||
	    !EVP_DigestInit(source.plain, EVP_sha256()))
		die(argv[1]);
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
