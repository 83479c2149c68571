/* The socket of a log: connected, never waited for, connected again when whoever listened was started anew. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log_driver.h"

#define CONNECT_MS 2000 /* what a start may wait for a TCP server */

struct fb_log_peer {
	int type;
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} address;
	size_t start, end; /* of a message that a stream took a part of */
	char *rest;
};

static int set_address(struct fb_log_peer *peer, const struct fb_log_spec *spec)
{
	if (spec->path) {
		size_t length = strlen(spec->path);

		if (length >= sizeof(peer->address.local.sun_path))
			return -ENAMETOOLONG;
		peer->address.local.sun_family = AF_UNIX;
		memcpy(peer->address.local.sun_path, spec->path, length + 1);
		peer->length = sizeof(peer->address.local);
	} else if (inet_pton(AF_INET, spec->address, &peer->address.four.sin_addr) == 1) {
		peer->address.four.sin_family = AF_INET;
		peer->address.four.sin_port = htons((uint16_t)spec->port);
		peer->length = sizeof(peer->address.four);
	} else if (inet_pton(AF_INET6, spec->address, &peer->address.six.sin6_addr) == 1) {
		peer->address.six.sin6_family = AF_INET6;
		peer->address.six.sin6_port = htons((uint16_t)spec->port);
		peer->length = sizeof(peer->address.six);
	} else {
		return -EINVAL;
	}
	return 0;
}

/* 0, or -EINPROGRESS: not yet connected. */
static int peer_connect(struct fb_log *log)
{
	struct fb_log_peer *peer = log->peer;
	int fd = socket(peer->address.any.sa_family, peer->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, &peer->address.any, peer->length) < 0)
		r = -errno;
	if (r < 0 && r != -EINPROGRESS) {
		close(fd);
		return r;
	}
	if (log->fd >= 0)
		close(log->fd);
	log->fd = fd;
	peer->start = peer->end = 0; /* the rest of a message is nothing to another connection */
	return r;
}

static int wait_connected(struct fb_log *log)
{
	struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
	int code = 0;
	socklen_t size = sizeof(code);

	if (poll(&ready, 1, CONNECT_MS) != 1)
		return -ETIMEDOUT;
	(void)getsockopt(log->fd, SOL_SOCKET, SO_ERROR, &code, &size);
	return -code;
}

int fb_log_peer_open(struct fb_log *log, const struct fb_log_spec *spec, struct fb_error *err)
{
	const char *where = spec->path ? spec->path : spec->address;
	bool stream = spec->protocol && (strcmp(spec->protocol, "tcp") == 0 || strcmp(spec->protocol, "unix") == 0);
	int r;

	log->peer = calloc(1, sizeof(*log->peer));
	if (!log->peer)
		return FB_FAIL_CODE(err, FB_STAGE_STDIO, ENOMEM, "malloc", NULL, NULL);
	log->peer->type = stream ? SOCK_STREAM : SOCK_DGRAM;
	r = set_address(log->peer, spec);
	if (r == 0)
		r = peer_connect(log);
	if (r == -EPROTOTYPE && spec->path) { /* a local socket of the other type, as syslog daemons have either */
		log->peer->type = stream ? SOCK_DGRAM : SOCK_STREAM;
		r = peer_connect(log);
	}
	if (r == -EINPROGRESS)
		r = wait_connected(log);
	if (r < 0 && log->fd >= 0) {
		close(log->fd);
		log->fd = -1;
	}
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_STDIO, -r, "connect", where, "failed to initialize logging driver") : 0;
}

/* The rest of the message before. 0, or negative. */
static int send_rest(struct fb_log *log)
{
	struct fb_log_peer *peer = log->peer;

	while (peer->start < peer->end) {
		ssize_t n = send(log->fd, peer->rest + peer->start, peer->end - peer->start, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		peer->start += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int keep_rest(struct fb_log_peer *peer, const char *data, size_t length)
{
	if (!peer->rest && !(peer->rest = malloc(FB_LOG_BUFFER)))
		return -ENOMEM;
	memcpy(peer->rest, data, length);
	peer->start = 0;
	peer->end = length;
	return 0;
}

static int try_send(struct fb_log *log, const char *data, size_t length)
{
	int r = log->fd < 0 ? -ENOTCONN : send_rest(log);
	ssize_t n;

	if (r < 0)
		return r;
	n = send(log->fd, data, length, MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	if ((size_t)n < length && keep_rest(log->peer, data + n, length - (size_t)n) < 0)
		return -ECONNRESET; /* half a message makes what follows unreadable */
	return 0;
}

int fb_log_peer_send(struct fb_log *log, const char *data, size_t length)
{
	int r = try_send(log, data, length);

	/* Once more: to who listens now, or because an error told of an earlier datagram. */
	if (r < 0 && r != -EAGAIN && r != -EMSGSIZE) {
		int connected = peer_connect(log);

		if (connected == -EINPROGRESS)
			return -EAGAIN;
		r = connected == 0 ? try_send(log, data, length) : connected;
	}
	return r == -EAGAIN ? r : 0;
}

void fb_log_peer_free(struct fb_log *log)
{
	if (log->peer)
		free(log->peer->rest);
	free(log->peer);
	log->peer = NULL;
}
