/* Ports of the host, in a network namespace of the test's own. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "nft_fixture.h"
#include "ports.h"

static int try_bind(int family, const char *host, int type, uint16_t number, bool reuse, bool listens)
{
	struct fb_address to = address(host);
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(number), .sin_addr = to.v4};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(number), .sin6_addr = to.v6};
	int fd = socket(family, type | SOCK_CLOEXEC, 0), value = reuse;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (bind(fd, family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, family == AF_INET6 ? sizeof(v6) : sizeof(v4)) < 0 ||
	    (listens && listen(fd, 1) < 0)) {
		int code = errno;

		close(fd);
		return -code;
	}
	return fd;
}

static void free_port(int fd)
{
	CHECK(fd >= 0);
	close(fd);
}

static struct fb_port port_of(int protocol, struct fb_address *hosts, size_t host_count, uint16_t first, uint16_t last)
{
	return (struct fb_port){.protocol = protocol, .hosts = hosts, .host_count = host_count, .first = first, .last = last, .port = 80,
				.address = address("172.30.0.2")};
}

static int reserve(struct fb_port *port, struct fb_arena *arena)
{
	struct fb_network_spec spec = spec_of(NULL, port, 1);

	memset(&err, 0, sizeof(err));
	return fb_ports_reserve(&spec, arena, &err);
}

static void release(struct fb_port *port)
{
	struct fb_network_spec spec = spec_of(NULL, port, 1);

	fb_ports_close(&spec);
}

static void test_exclusive(struct fb_arena *arena)
{
	struct fb_address any[] = {address("0.0.0.0"), address("::")}, one[] = {address("127.0.0.1")}, absent[] = {address("203.0.113.9")};
	struct fb_address loopback6[] = {address("::1")};
	struct fb_port port = port_of(IPPROTO_TCP, any, 2, 8080, 8080), second = port, exact = port_of(IPPROTO_TCP, one, 1, 8080, 8080);
	struct fb_port udp = port_of(IPPROTO_UDP, any, 2, 8080, 8080), away = port_of(IPPROTO_TCP, absent, 1, 8080, 8080);
	int fd;

	CHECK(reserve(&port, arena) == 0 && port.taken == 8080 && port.sockets[0] >= 0 && port.sockets[1] >= 0);
	CHECK(reserve(&second, arena) == -EADDRINUSE);
	CHECK(strcmp(err.detail, "Bind for 0.0.0.0:8080 failed: port is already allocated") == 0);
	CHECK(reserve(&exact, arena) == -EADDRINUSE);
	CHECK(strcmp(err.detail, "Bind for 127.0.0.1:8080 failed: port is already allocated") == 0);
	CHECK(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8080, true, false) == -EADDRINUSE);
	CHECK(try_bind(AF_INET6, "::1", SOCK_STREAM, 8080, true, false) == -EADDRINUSE);
	CHECK(fcntl(port.sockets[0], F_GETFD) == FD_CLOEXEC);
	CHECK(reserve(&udp, arena) == 0);
	CHECK(try_bind(AF_INET, "127.0.0.1", SOCK_DGRAM, 8080, true, false) == -EADDRINUSE);
	/* "::" of a container without v6: its socket listens, v4's does not. */
	CHECK(fb_port_relayed(&port, 1) && !fb_port_relayed(&port, 0));
	CHECK(count("ss -Hltn", ":8080 ") == 1 && count("ss -Hltn", "[::]:8080") == 1);
	release(&port);
	release(&udp);
	CHECK(port.sockets[0] == -1);
	free_port(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8080, false, true));
	CHECK(reserve(&away, arena) == -EADDRNOTAVAIL);
	CHECK(strcmp(err.detail, "Bind for 203.0.113.9:8080 failed: cannot assign requested address") == 0);

	/* One of two addresses is taken: neither is kept. */
	fd = try_bind(AF_INET6, "::1", SOCK_STREAM, 8080, true, true);
	CHECK(reserve(&port, arena) == -EADDRINUSE && strstr(err.detail, "[::]:8080"));
	free_port(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8080, false, true));
	close(fd);

	exact = port_of(IPPROTO_TCP, loopback6, 1, 8080, 8080);
	exact.address6 = address("fd00::2");
	CHECK(reserve(&exact, arena) == 0 && fb_port_relayed(&exact, 0) && count("ss -Hltn", "[::1]:8080") == 1);
	release(&exact);

	run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1");
	CHECK(reserve(&port, arena) == 0 && port.sockets[0] >= 0);
	release(&port);
	CHECK(reserve(&exact, arena) == -EADDRNOTAVAIL);
	run("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0");
}

static void test_ranges(struct fb_arena *arena)
{
	struct fb_address any = address("0.0.0.0");
	struct fb_port ports[8];
	struct fb_network_spec spec = {.ports = ports, .port_count = 5};
	int fd = try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8001, true, true);

	for (int i = 0; i < 5; i++)
		ports[i] = port_of(IPPROTO_TCP, &any, 1, 8000, 8005);
	OK(fb_ports_reserve(&spec, arena, &err));
	CHECK(ports[0].taken == 8000 && ports[1].taken == 8002 && ports[4].taken == 8005);
	ports[5] = port_of(IPPROTO_TCP, &any, 1, 8000, 8005);
	CHECK(reserve(&ports[5], arena) == -EADDRINUSE);
	CHECK(strcmp(err.detail, "Bind for 0.0.0.0:8000-8005 failed: all ports are allocated") == 0);
	fb_ports_close(&spec);
	close(fd);

	/* All or nothing: the second fails, the first is free again. */
	ports[0] = port_of(IPPROTO_TCP, &any, 1, 8000, 8000), ports[1] = ports[0];
	spec.port_count = 2;
	CHECK(fb_ports_reserve(&spec, arena, &err) == -EADDRINUSE);
	free_port(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8000, false, true));

	run("sysctl -qw net.ipv4.ip_local_port_range='40000 40007'");
	spec.port_count = 8;
	for (int i = 0; i < 8; i++)
		ports[i] = port_of(IPPROTO_TCP, &any, 1, 0, 0);
	OK(fb_ports_reserve(&spec, arena, &err));
	for (int i = 0; i < 8; i++) {
		CHECK(ports[i].taken >= 40000 && ports[i].taken <= 40007);
		for (int j = 0; j < i; j++)
			CHECK(ports[i].taken != ports[j].taken);
	}
	fb_ports_close(&spec);
	run("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'");
}

/* The port of a server whose last connections are in TIME_WAIT: ours, and still nobody else's. */
static void test_time_wait(struct fb_arena *arena)
{
	struct fb_address any = address("0.0.0.0"), loopback = address("127.0.0.1");
	struct fb_port port = port_of(IPPROTO_TCP, &any, 1, 8090, 8090), second = port;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(8090), .sin_addr = loopback.v4};
	int server = try_bind(AF_INET, "127.0.0.1", SOCK_STREAM, 8090, true, true), client = socket(AF_INET, SOCK_STREAM, 0), accepted;

	CHECK(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
	accepted = accept(server, NULL, NULL);
	close(accepted); /* it closes first: TIME_WAIT is the server's */
	close(client);
	close(server);
	CHECK(count("ss -Htan state time-wait", ":8090") > 0);
	CHECK(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8090, false, false) == -EADDRINUSE); /* or this tests nothing */
	CHECK(reserve(&port, arena) == 0);
	CHECK(gone("ss -Hltn", ":8090"));
	CHECK(reserve(&second, arena) == -EADDRINUSE);
	CHECK(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8090, true, false) == -EADDRINUSE);
	CHECK(try_bind(AF_INET, "127.0.0.1", SOCK_STREAM, 8090, true, true) == -EADDRINUSE);
	CHECK(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED);
	release(&port);
	free_port(try_bind(AF_INET, "0.0.0.0", SOCK_STREAM, 8090, true, true));
}

static void test_sctp(struct fb_arena *arena)
{
	struct fb_address any = address("0.0.0.0");
	struct fb_port port = port_of(IPPROTO_SCTP, &any, 1, 9000, 9000), second = port, ranged = port_of(IPPROTO_SCTP, &any, 1, 9000, 9001);

	OK(reserve(&port, arena));
	CHECK(reserve(&second, arena) == -EADDRINUSE);
	CHECK(reserve(&ranged, arena) == 0 && ranged.taken == 9001);
	release(&port);
	CHECK(reserve(&second, arena) == 0);
	release(&second);
	release(&ranged);
}

/* Random ones of many processes at once: each gets its own. */
static void test_random_at_once(struct fb_arena *arena)
{
	enum { PROCESSES = 8, EACH = 24 };
	struct fb_address any = address("0.0.0.0");
	unsigned char seen[65536] = {0};
	uint16_t number;
	int tell_fd[2], go[2];

	run("sysctl -qw net.ipv4.ip_local_port_range='40000 40199'"); /* 200 for 192 */
	CHECK(pipe2(tell_fd, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() == 0) {
			struct fb_port ports[EACH];
			struct fb_network_spec spec = {.ports = ports, .port_count = EACH};
			int rc;

			for (int j = 0; j < EACH; j++)
				ports[j] = port_of(IPPROTO_TCP, &any, 1, 0, 0);
			rc = fb_ports_reserve(&spec, arena, &err);
			tell("reserve", rc);
			for (int j = 0; rc == 0 && j < EACH; j++)
				rc = write(tell_fd[1], &ports[j].taken, 2) == 2 ? 0 : 1;
			close(go[1]);
			rc |= read(go[0], &rc, 1) < 0; /* all are kept until all have theirs */
			_exit(rc ? 1 : 0);
		}
	}
	close(tell_fd[1]);
	for (int i = 0; i < PROCESSES * EACH && read(tell_fd[0], &number, 2) == 2; i++)
		seen[number]++;
	close(go[1]);
	for (int i = 0, status; i < PROCESSES; i++)
		CHECK(wait(&status) > 0 && status == 0);
	for (int i = 0, sum = 0; i < 65536; i++) {
		CHECK(seen[i] <= 1);
		sum += seen[i];
		CHECK(i < 65535 || sum == PROCESSES * EACH);
	}
	close(tell_fd[0]);
	close(go[0]);
	run("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'");
}

int main(void)
{
	struct fb_arena arena = {0};

	if (!own_namespace())
		return 77;
	test_exclusive(&arena);
	test_ranges(&arena);
	test_time_wait(&arena);
	test_sctp(&arena);
	test_random_at_once(&arena);
	fb_arena_free(&arena);
	return failures > 0;
}
