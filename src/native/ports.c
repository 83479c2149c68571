#include "ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

#define BACKLOG 1024

bool fb_port_relayed(const struct fb_port *port, size_t host)
{
	const struct fb_address *address = &port->hosts[host];

	if (address->family != AF_INET6 || port->protocol == IPPROTO_SCTP)
		return false;
	return port->address6.family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&address->v6) || IN6_IS_ADDR_UNSPECIFIED(&address->v6);
}

/* "0.0.0.0:8080", "[::1]:8080"; with another last port "0.0.0.0:8000-8010". */
static void describe(const struct fb_address *host, unsigned first, unsigned last, char *to, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?", ports[16];

	inet_ntop(host->family, &host->v6, text, sizeof(text));
	snprintf(ports, sizeof(ports), first == last ? "%u" : "%u-%u", first, last);
	snprintf(to, size, host->family == AF_INET6 ? "[%s]:%s" : "%s:%s", text, ports);
}

static int bind_to(int fd, const struct fb_address *host, uint16_t number)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(number)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(number)};

	if (host->family == AF_INET6) {
		v6.sin6_addr = host->v6;
		return bind(fd, (struct sockaddr *)&v6, sizeof(v6)) < 0 ? -errno : 0;
	}
	v4.sin_addr = host->v4;
	return bind(fd, (struct sockaddr *)&v4, sizeof(v4)) < 0 ? -errno : 0;
}

/* A port where connections are in TIME_WAIT can be bound with SO_REUSEADDR only, and so it can by everybody who sets that, until one
 * listens. Therefore this listens for a moment, and goes on as a socket that shares with nobody: the kernel checks each of the three
 * steps against all other sockets of the port. */
static int bind_in_time_wait(int fd, const struct fb_address *host, uint16_t number, bool relayed)
{
	int on = 1, off = 0, rc;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	rc = bind_to(fd, host, number);
	if (rc < 0)
		return rc;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	if (!relayed && shutdown(fd, SHUT_RDWR) < 0)
		return -errno;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)) < 0 ? -errno : 0;
}

static int open_socket(const struct fb_port *port, const struct fb_address *host)
{
	int type = port->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, on = 1;
	fb_auto_close int fd = socket(host->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, port->protocol);

	if (fd < 0)
		return -errno;
	if (host->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	return fb_steal_fd(&fd);
}

/* Without sockets of SCTP: a name that one process of the network namespace can have. */
static int bind_name(const struct fb_address *host, uint16_t number)
{
	fb_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	char text[64];
	int length;

	if (fd < 0)
		return -errno;
	describe(host, number, number, text, sizeof(text));
	length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "fastbox/sctp/%s", text);
	if (bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) < 0)
		return -errno;
	return fb_steal_fd(&fd);
}

/* The socket; -1 where there is nothing to reserve ("::" without IPv6); below that an errno, shifted by one to be told from it. */
static int reserve_one(const struct fb_port *port, size_t host, uint16_t number)
{
	const struct fb_address *address = &port->hosts[host];
	bool relayed = fb_port_relayed(port, host), tcp = port->protocol == IPPROTO_TCP;
	fb_auto_close int fd = -1;
	int rc;

	fd = open_socket(port, address);
	if (port->protocol == IPPROTO_SCTP && (fd == -EPROTONOSUPPORT || fd == -ESOCKTNOSUPPORT)) {
		fd = bind_name(address, number);
		return fd < 0 ? fd - 1 : fb_steal_fd(&fd);
	}
	rc = fd < 0 ? fd : bind_to(fd, address, number);
	if (rc == 0 && tcp && relayed && listen(fd, BACKLOG) < 0)
		rc = -errno;
	if (rc == -EADDRINUSE && tcp) {
		close(fb_steal_fd(&fd));
		fd = open_socket(port, address);
		rc = fd < 0 ? fd : bind_in_time_wait(fd, address, number, relayed);
	}
	if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && address->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6))
		return -1;
	return rc < 0 ? rc - 1 : fb_steal_fd(&fd);
}

static void close_port(struct fb_port *port)
{
	for (size_t i = 0; port->sockets && i < port->host_count; i++)
		fb_cleanup_fd(&port->sockets[i]);
}

/* This number on every host address, or on none; `ret_host` is then the address that refused. */
static int reserve_number(struct fb_port *port, uint16_t number, size_t *ret_host)
{
	for (size_t i = 0; i < port->host_count; i++) {
		int fd = reserve_one(port, i, number);

		if (fd < -1) {
			close_port(port);
			*ret_host = i;
			return fd + 1;
		}
		port->sockets[i] = fd;
	}
	port->taken = number;
	return 0;
}

static int fail(const struct fb_port *port, size_t host, unsigned first, unsigned last, int code, struct fb_error *err)
{
	char address[64], detail[128];
	const char *why = NULL;

	describe(&port->hosts[host], first, last, address, sizeof(address));
	if (code == EADDRINUSE && first == last)
		why = "port is already allocated";
	else if (code == EADDRINUSE)
		why = "all ports are allocated";
	else if (code == EADDRNOTAVAIL)
		why = "cannot assign requested address";
	if (why)
		snprintf(detail, sizeof(detail), "Bind for %s failed: %s", address, why);
	return FB_FAIL_CODE(err, FB_STAGE_NETWORK, code, "bind", address, why ? detail : NULL);
}

/* Where an ephemeral port is looked for: what the host gives its own programs, else docker's range. */
static void ephemeral(unsigned *ret_first, unsigned *ret_last)
{
	fb_auto_close int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC);
	unsigned first, last;
	char text[32] = "";

	*ret_first = 49153, *ret_last = 65535;
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%u %u", &first, &last) != 2)
		return;
	if (first > 0 && first <= last && last <= 65535)
		*ret_first = first, *ret_last = last;
}

static int reserve(struct fb_port *port, struct fb_arena *arena, struct fb_error *err)
{
	unsigned first = port->first, last = port->last, begin = 0, count;
	size_t host = 0;

	port->taken = 0;
	port->sockets = fb_arena_alloc(arena, sizeof(*port->sockets) * (port->host_count + 1));
	if (!port->sockets)
		return FB_FAIL(err, FB_STAGE_NETWORK, "malloc", "ports");
	for (size_t i = 0; i < port->host_count; i++)
		port->sockets[i] = -1;
	if (!first) {
		ephemeral(&first, &last);
		if (getrandom(&begin, sizeof(begin), GRND_NONBLOCK) < 0)
			begin = (unsigned)getpid();
	}
	count = last - first + 1;
	begin %= count;
	if (port->first) /* a range that was asked for begins with its first */
		begin = 0;
	for (unsigned i = 0; i < count; i++) {
		int rc = reserve_number(port, (uint16_t)(first + (begin + i) % count), &host);

		if (rc == 0)
			return 0;
		if (rc != -EADDRINUSE) /* the next number would be refused as well */
			return fail(port, host, first + (begin + i) % count, first + (begin + i) % count, -rc, err);
	}
	return fail(port, host, first, last, EADDRINUSE, err);
}

int fb_ports_reserve(struct fb_network_spec *spec, struct fb_arena *arena, struct fb_error *err)
{
	for (size_t i = 0; i < spec->port_count; i++) {
		int rc = reserve(&spec->ports[i], arena, err);

		if (rc < 0) {
			fb_ports_close(spec);
			return rc;
		}
	}
	return 0;
}

void fb_ports_close(struct fb_network_spec *spec)
{
	for (size_t i = 0; i < spec->port_count; i++)
		close_port(&spec->ports[i]);
}
