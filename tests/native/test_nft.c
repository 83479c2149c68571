/* nftables and ports, in a network namespace of the test's own: what the kernel has afterwards is read by `nft`, which is not ours. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "nft.h"
#include "ports.h"

static struct fb_error err;

static void tell(const char *what, int rc)
{
	if (rc < 0)
		fprintf(stderr, "%s: %s: %s: %s %s\n", what, err.call, err.path, strerror(err.code), err.detail);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		tell(#call, rc_);                                                                  \
		CHECK(rc_ >= 0);                                                                   \
	} while (0)

/* How often a command's output has this text. */
static int count(const char *command, const char *text)
{
	FILE *from = popen(command, "r");
	char line[4096];
	int found = 0;

	while (from && fgets(line, sizeof(line), from))
		for (const char *at = line; (at = strstr(at, text)); at++)
			found++;
	if (!from || pclose(from) != 0)
		return -1;
	return found;
}

/* What was taken away may need a millisecond to end. */
static bool gone(const char *command, const char *text)
{
	for (int i = 0; i < 200; i++, usleep(1000))
		if (count(command, text) == 0)
			return true;
	return false;
}

static void run(const char *command)
{
	CHECK(system(command) == 0);
}

static struct fb_address address(const char *text)
{
	struct fb_address made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	CHECK(inet_pton(made.family, text, &made.v6) == 1);
	return made;
}

/* ---- tables ---- */

static void test_base(void)
{
	CHECK(!fb_nft_present());
	CHECK(fb_nft_base(&err) == 1);
	CHECK(fb_nft_present());
	CHECK(fb_nft_base(&err) == 0);
	CHECK(count("nft list ruleset", "table ") == 2);
	CHECK(gone("nft list ruleset 2>&1", "rror"));
	run("nft flush ruleset");
	CHECK(!fb_nft_present());
	CHECK(fb_nft_base(&err) == 1);
	/* half of it, and another layout */
	run("nft delete table bridge fastbox");
	CHECK(!fb_nft_present());
	CHECK(fb_nft_base(&err) == 1);
	run("nft add element inet fastbox bridges '{ old }'");
	run("nft 'add chain inet fastbox layout-0; delete chain inet fastbox layout-1'");
	CHECK(!fb_nft_present());
	CHECK(fb_nft_base(&err) == 1);
	CHECK(gone("nft list ruleset", "old") && gone("nft list ruleset", "layout-0"));
}

/* Whoever made its network's elements must find them, however many make the tables at the same time. */
static void test_base_at_once(void)
{
	int made = 0;

	run("nft flush ruleset");
	for (int i = 0; i < 12; i++) {
		if (fork() == 0) {
			char name[16];
			int rc = fb_nft_base(&err);

			snprintf(name, sizeof(name), "fb-%d", i);
			tell("base", rc);
			if (rc >= 0 && fb_nft_network(&(struct fb_nft_network){name, true, false, true}, true, &err) < 0)
				rc = -1;
			_exit(rc < 0 ? 99 : rc);
		}
	}
	for (int i = 0; i < 12; i++) {
		int status;

		CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		made += WEXITSTATUS(status);
	}
	CHECK(made == 1);
	CHECK(count("nft list set inet fastbox bridges", "\"fb-") == 12);
}

static void test_network(void)
{
	struct fb_nft_network network = {"fb-net", true, false, true};

	run("nft flush ruleset");
	OK(fb_nft_base(&err));
	for (int i = 0; i < 2; i++)
		OK(fb_nft_network(&network, true, &err));
	CHECK(count("nft list table inet fastbox", "\"fb-net\"") == 4); /* bridges, masq, and twice in same */
	network = (struct fb_nft_network){"fb-net", false, true, false};
	OK(fb_nft_network(&network, true, &err));
	CHECK(gone("nft list set inet fastbox masq", "fb-net"));
	CHECK(count("nft list set inet fastbox internal", "fb-net") == 1 && count("nft list set inet fastbox noicc", "fb-net") == 1);
	for (int i = 0; i < 2; i++)
		OK(fb_nft_network(&network, false, &err));
	CHECK(gone("nft list table inet fastbox", "fb-net"));
	run("nft flush ruleset");
	OK(fb_nft_network(&network, false, &err));
	memset(&err, 0, sizeof(err));
	CHECK(fb_nft_network(&network, true, &err) == -ENOENT && err.code == ENOENT && strstr(err.path, "inet fastbox"));
}

/* ---- elements ---- */

static struct fb_network_spec spec_of(struct fb_endpoint *endpoint, struct fb_port *ports, size_t count_ports)
{
	return (struct fb_network_spec){.endpoints = endpoint, .endpoint_count = endpoint ? 1 : 0, .ports = ports, .port_count = count_ports};
}

static void test_endpoints(void)
{
	struct fb_address own[] = {address("172.30.0.2"), address("fd00:30::2")}, any[] = {address("0.0.0.0"), address("::")};
	struct fb_address one[] = {address("10.1.2.3"), address("fd00::1"), address("::1")};
	struct fb_endpoint endpoint = {.kind = FB_LINK_VETH, .host = "fbv0123456789ab", .mac = {2, 0x42, 172, 30, 0, 2}, .has_mac = true,
				       .addresses = own, .address_count = 2, .guard = true};
	struct fb_port ports[] = {
		{.protocol = IPPROTO_TCP, .hosts = any, .host_count = 2, .port = 80, .address = own[0], .address6 = own[1], .taken = 8080},
		{.protocol = IPPROTO_UDP, .hosts = one, .host_count = 3, .port = 53, .address = own[0], .address6 = own[1], .taken = 5353},
		{.protocol = IPPROTO_TCP, .hosts = any, .host_count = 2, .port = 81, .address = own[0], .taken = 8081},
		{.protocol = IPPROTO_SCTP, .hosts = any, .host_count = 1, .port = 9, .address = own[0], .taken = 9000},
		{.protocol = IPPROTO_TCP, .hosts = any, .host_count = 2, .port = 82, .address = own[0]}, /* not reserved */
	};
	struct fb_network_spec spec = spec_of(&endpoint, ports, 5), other;
	struct fb_port stale = ports[0], sctp = ports[3];

	run("nft flush ruleset");
	memset(&err, 0, sizeof(err));
	CHECK(fb_nft_endpoints(&spec, true, &err) == -ENOENT && err.code == ENOENT);
	CHECK(fb_nft_endpoints(&spec, false, &err) == 0);
	OK(fb_nft_base(&err));
	for (int i = 0; i < 2; i++)
		OK(fb_nft_endpoints(&spec, true, &err));
	CHECK(count("nft list map inet fastbox publish4_any", "tcp . 8080 : 172.30.0.2 . 80") == 1);
	CHECK(count("nft list map inet fastbox publish4_any", "172.30.0.2") == 3);
	CHECK(count("nft list map inet fastbox publish6_any", "tcp . 8080 : fd00:30::2 . 80") == 1);
	CHECK(count("nft list map inet fastbox publish6_any", "fd00:30::2") == 1);
	CHECK(count("nft list map inet fastbox publish4", "10.1.2.3 . udp . 5353 : 172.30.0.2 . 53") == 1);
	CHECK(count("nft list map inet fastbox publish6", "fd00::1 . udp . 5353 : fd00:30::2 . 53") == 1);
	CHECK(count("nft list map inet fastbox publish6", "::1 . udp") == 1); /* fd00::1 alone */
	CHECK(count("nft list set bridge fastbox ports", "fbv0123456789ab") == 1);
	CHECK(count("nft list set bridge fastbox own4", "\"fbv0123456789ab\" . 02:42:ac:1e:00:02 . 172.30.0.2") == 1);
	CHECK(count("nft list set bridge fastbox own6", "\"fbv0123456789ab\" . 02:42:ac:1e:00:02 . fd00:30::2") == 1);
	CHECK(count("nft list set bridge fastbox own", "\"fbv0123456789ab\" . 02:42:ac:1e:00:02") == 1);

	/* Taken away and put back at once, as by a restart: it stays. */
	OK(fb_nft_endpoints(&spec, false, &err));
	OK(fb_nft_endpoints(&spec, true, &err));
	usleep(20000);
	CHECK(count("nft list map inet fastbox publish4_any", "tcp . 8080 : 172.30.0.2 . 80") == 1);
	CHECK(count("nft list set bridge fastbox ports", "fbv0123456789ab") == 1);

	/* What people save they can restore. */
	run("before=$(nft list ruleset) && printf 'flush ruleset\n%s\n' \"$before\" | nft -f - && test \"$before\" = \"$(nft list ruleset)\"");
	CHECK(fb_nft_present());

	/* Another container's: a dead one's element gives way, and the dead one's release leaves the living one's. */
	stale.address = address("172.30.0.9"), stale.address6 = address("fd00:30::9");
	other = spec_of(NULL, &stale, 1);
	OK(fb_nft_endpoints(&other, true, &err));
	CHECK(count("nft list map inet fastbox publish4_any", "tcp . 8080 : 172.30.0.9 . 80") == 1);
	CHECK(count("nft list map inet fastbox publish6_any", "tcp . 8080 : fd00:30::9 . 80") == 1);
	for (int i = 0; i < 2; i++)
		OK(fb_nft_endpoints(&spec, false, &err));
	CHECK(gone("nft list ruleset", "172.30.0.2") && gone("nft list ruleset", "fbv0123456789ab"));
	CHECK(count("nft list map inet fastbox publish4_any", "tcp . 8080 : 172.30.0.9 . 80") == 1);
	OK(fb_nft_endpoints(&other, false, &err));
	CHECK(gone("nft list ruleset", "8080"));

	/* Nothing but its element keeps a port of SCTP: whoever comes second fails, and leaves nothing. */
	OK(fb_nft_endpoints(&spec, true, &err));
	sctp.address = stale.address;
	stale.taken = 8088;
	{
		struct fb_port two[] = {stale, sctp};
		struct fb_network_spec second = spec_of(NULL, two, 2);

		memset(&err, 0, sizeof(err));
		CHECK(fb_nft_endpoints(&second, true, &err) < 0 && strstr(err.path, "publish4_any"));
		CHECK(gone("nft list ruleset", "172.30.0.9"));
		CHECK(count("nft list ruleset", "sctp . 9000 : 172.30.0.2 . 9") == 1);
	}
	OK(fb_nft_endpoints(&spec, false, &err));
	CHECK(gone("nft list ruleset", "172.30.0"));
	CHECK(fb_nft_endpoints(&(struct fb_network_spec){0}, true, &err) == 0);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One message of everything, more than a socket's usual buffer; and what one element more costs then. Figures, no judgement. */
static void test_many(size_t many)
{
	struct fb_address any = address("0.0.0.0"), target = address("172.30.0.2");
	struct fb_port *ports = calloc(many + 1, sizeof(*ports));
	struct fb_network_spec all, one;
	double add = 0, away = 0, start;
	int list;

	for (size_t i = 0; i <= many; i++)
		ports[i] = (struct fb_port){.protocol = IPPROTO_TCP, .hosts = &any, .host_count = 1, .port = 80, .address = target, .taken = (uint16_t)(20000 + i)};
	all = spec_of(NULL, ports, many), one = spec_of(NULL, ports + many, 1);
	OK(fb_nft_endpoints(&all, true, &err));
	for (int i = 0; i < 200; i++) {
		start = seconds();
		OK(fb_nft_endpoints(&one, true, &err));
		add += seconds() - start, start = seconds();
		OK(fb_nft_endpoints(&one, false, &err));
		away += seconds() - start;
	}
	list = count("nft list map inet fastbox publish4_any", "172.30.0.2 . 80");
	CHECK(list == (int)many);
	printf("with %zu elements: one is added in %.0f us, taken away in %.0f us\n", many, add / 200 * 1e6, away / 200 * 1e6);
	start = seconds();
	OK(fb_nft_endpoints(&all, false, &err));
	printf("%zu taken away in %.0f us\n", many, (seconds() - start) * 1e6);
	CHECK(gone("nft list ruleset", "172.30.0.2"));
	start = seconds();
	for (int i = 0; i < 200; i++)
		CHECK(fb_nft_present());
	printf("present: %.0f us\n", (seconds() - start) / 200 * 1e6);
	free(ports);
}

static void test_redirect(void)
{
	for (int i = 0; i < 2; i++)
		OK(fb_nft_redirect(40053, 40054, &err));
	CHECK(count("nft list table ip fastbox", "dnat to 127.0.0.11:40053") == 1);
	CHECK(count("nft list table ip fastbox", "dnat to 127.0.0.11:40054") == 1);
	run("nft delete table ip fastbox");
}

static void test_coexist(void)
{
	run("nft flush ruleset");
	run("iptables-nft -P FORWARD DROP && iptables-nft -N DOCKER-USER && iptables-nft -A DOCKER-USER -j RETURN && "
	    "iptables-nft -A FORWARD -j DOCKER-USER && ip6tables-nft -P FORWARD DROP");
	for (int i = 0; i < 2; i++)
		OK(fb_nft_base(&err));
	CHECK(count("iptables-nft -S", "-A DOCKER-USER -j FASTBOX") == 1);
	CHECK(count("iptables-nft -S FASTBOX", "-i fb-+ -j ACCEPT") == 1 && count("iptables-nft -S FASTBOX", "-o fb-+ -j ACCEPT") == 1);
	CHECK(count("iptables-nft -S FASTBOX", "-i fastbox0 -j ACCEPT") == 1 && count("iptables-nft -S FASTBOX", "-o fastbox0 -j ACCEPT") == 1);
	CHECK(gone("iptables-nft -S FORWARD", "FASTBOX"));
	CHECK(count("ip6tables-nft -S FORWARD", "-j FASTBOX") == 1);
	run("iptables-nft -F DOCKER-USER");
	OK(fb_nft_coexist(&err));
	CHECK(count("iptables-nft -S", "-A DOCKER-USER -j FASTBOX") == 1 && count("iptables-nft -S FASTBOX", "ACCEPT") == 4);
	run("iptables-nft -F FASTBOX");
	OK(fb_nft_coexist(&err));
	CHECK(count("iptables-nft -S", "-A DOCKER-USER -j FASTBOX") == 1 && count("iptables-nft -S FASTBOX", "ACCEPT") == 4);
	run("nft flush ruleset");
	run("iptables-nft -P FORWARD ACCEPT && nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD'");
	OK(fb_nft_coexist(&err));
	CHECK(gone("iptables-nft -S", "FASTBOX"));
	CHECK(count("nft list chain inet firewalld filter_FORWARD", "jump FASTBOX") == 1);
	run("nft flush ruleset");
}

/* ---- ports ---- */

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

	if (unshare(CLONE_NEWNET) < 0 || system("command -v nft iptables-nft ss sysctl >/dev/null && ip link set lo up") != 0) {
		fprintf(stderr, "skipped: no network namespace, or no nft, iptables-nft, ip, ss, sysctl\n");
		return 77;
	}
	test_base();
	test_base_at_once();
	test_network();
	test_endpoints();
	personality(UNAME26); /* the way of kernels before 6.12 */
	test_network();
	test_endpoints();
	personality(PER_LINUX);
	test_many(10);
	test_many(8000);
	test_redirect();
	test_coexist();
	test_exclusive(&arena);
	test_ranges(&arena);
	test_time_wait(&arena);
	test_sctp(&arena);
	test_random_at_once(&arena);
	fb_arena_free(&arena);
	return failures > 0;
}
