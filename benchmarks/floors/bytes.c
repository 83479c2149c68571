/* The parts of an extraction that touch no file: what the two libraries need for the bytes alone.
 *
 *   bytes inflate ARCHIVE     unpack gzip or zstd, and drop it
 *   bytes digest FILE...      sha256 of each: the packed and the plain stream
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define ROOM ((size_t)256 << 10)

static uint8_t in[ROOM], out[ROOM];

static void die(const char *what)
{
	fprintf(stderr, "floor of bytes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

static void inflate_gzip(int fd)
{
	static struct inflate_state state;
	ssize_t n;

	isal_inflate_init(&state);
	state.crc_flag = ISAL_GZIP;
	while ((n = read(fd, in, ROOM)) > 0) {
		state.next_in = in;
		state.avail_in = (uint32_t)n;
		do {
			state.next_out = out;
			state.avail_out = ROOM;
			if (isal_inflate(&state) != ISAL_DECOMP_OK)
				die("inflate");
		} while (state.block_state != ISAL_BLOCK_FINISH &&
			 (state.avail_in || !state.avail_out));
	}
	if (state.block_state != ISAL_BLOCK_FINISH)
		die("the archive is cut");
}

static void inflate_zstd(int fd)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	size_t left = 1;
	ssize_t n;

	while ((n = read(fd, in, ROOM)) > 0) {
		ZSTD_inBuffer from = {in, (size_t)n, 0};
		ZSTD_outBuffer to;

		do {
			to = (ZSTD_outBuffer){out, ROOM, 0};
			left = ZSTD_decompressStream(context, &to, &from);
			if (ZSTD_isError(left))
				die("zstd");
		} while (from.pos < from.size || to.pos == to.size);
	}
	if (left)
		die("the archive is cut");
}

static void digest(int fd)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t value[EVP_MAX_MD_SIZE];
	ssize_t n;

	EVP_DigestInit(context, EVP_sha256());
	while ((n = read(fd, in, ROOM)) > 0)
		EVP_DigestUpdate(context, in, (size_t)n);
	EVP_DigestFinal(context, value, NULL);
	EVP_MD_CTX_free(context);
}

int main(int argc, char **argv)
{
	uint8_t magic[4] = {0};
	int fd;

	if (argc < 3)
		die("usage: bytes inflate ARCHIVE | bytes digest FILE...");
	for (int i = 2; strcmp(argv[1], "digest") == 0 && i < argc; i++)
		digest(open_file(argv[i]));
	if (strcmp(argv[1], "inflate"))
		return 0;
	fd = open_file(argv[2]);
	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic))
		die(argv[2]);
	if (magic[0] == 0x28)
		inflate_zstd(fd);
	else
		inflate_gzip(fd);
	return 0;
}
