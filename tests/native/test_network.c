/* network_spec.c, network.c and link.c: the document, and what is made of it in a network namespace. */
#include <errno.h>
#include <stdarg.h>
#include <time.h>

#include "bridge.h"
#include "link.h"
#include "netns.h"
#include "netns_fixture.h"
#include "network.h"

#define ID "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""
#define VETH(name, host, more) "{\"network\":" ID ",\"kind\":\"veth\",\"link\":\"fb-net\",\"name\":\"" name "\",\"host\":\"" host "\"" more "}"
#define FIRST                                                                                      \
	VETH("eth0", "fbv0000000001", ",\"mac\":\"02:42:ac:1e:00:02\",\"mtu\":1400,\"addresses\":[\"172.30.0.2/16\",\"fd00:30::2/64\"]," \
	     "\"gateways\":[\"172.30.0.1\",\"fd00:30::1\"]")

static struct fb_error err;

static int parse(struct fb_network_spec *network, const char *format, ...)
{
	static char text[16384];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	memset(&err, 0, sizeof(err));
	return fb_network_parse(text, strlen(text), network, &err);
}

static void endpoints(struct fb_network_spec *network, const char *list)
{
	OK(parse(network, "{\"schema\":1,\"endpoints\":[%s]}", list));
}

static void test_document(void)
{
	struct fb_network_spec network = {0};
	const struct fb_endpoint *endpoint;

	OK(parse(&network, "{\"schema\":1,\"endpoints\":[%s],\"ports\":[{\"protocol\":\"udp\",\"hosts\":[\"0.0.0.0\",\"::\"],\"first\":8000,"
		 "\"last\":8010,\"port\":53,\"address\":\"172.30.0.2\",\"address6\":\"\"}],\"dns\":{\"a\":[1]},\"netd\":[\"/bin/netd\",\"-x\"]}",
		 VETH("eth0", "fbv1", ",\"mac\":\"02:42:aC:1e:00:02\",\"addresses\":[\"172.30.0.2/16\",\"fd00::2/64\"],\"gateways\":[\"fd00::1\"],"
		      "\"isolated\":true,\"napi\":true,\"guard\":true,\"leases\":[\"/x/leases/172.30.0.2\"]")));
	endpoint = network.endpoints;
	CHECK(network.endpoint_count == 1 && endpoint->kind == FB_LINK_VETH && endpoint->has_mac && endpoint->mac[2] == 0xac);
	CHECK(endpoint->address_count == 2 && endpoint->addresses[0].prefix == 16 && endpoint->addresses[1].family == AF_INET6);
	CHECK(endpoint->gateways[0].family == 0 && endpoint->gateways[1].family == AF_INET6 && endpoint->leases.count == 1);
	CHECK(endpoint->isolated && endpoint->napi && endpoint->guard);
	CHECK(network.port_count == 1 && network.ports[0].protocol == IPPROTO_UDP && network.ports[0].host_count == 2);
	CHECK(network.ports[0].sockets[0] == -1 && network.ports[0].sockets[1] == -1 && network.ports[0].address6.family == 0);
	CHECK(network.dns.wanted && strcmp(network.dns.document, "{\"a\":[1]}") == 0 && network.netd.count == 2);
	/* What was taken is found in the live state, in its order. */
	OK(fb_network_read_taken(&network, "{\"schema\":1,\"ports\":[{\"protocol\":\"udp\",\"host\":\"0.0.0.0\",\"host_port\":8003,\"port\":53}]}", 90, &err));
	CHECK(network.ports[0].taken == 0 || network.ports[0].taken == 8003);
	fb_network_free(&network);
	OK(parse(&network, "{\"schema\":1,\"dns\":null}"));
	CHECK(!network.dns.wanted && network.endpoint_count == 0);
	fb_network_free(&network);
}

static void test_taken(void)
{
	static const char live[] = "{\"id\":\"x\",\"ports\":[{\"protocol\":\"tcp\",\"host\":\"::\",\"host_port\":8081,\"port\":81},"
				   "{\"protocol\":\"udp\",\"host\":\"127.0.0.1\",\"host_port\":9000,\"port\":81}]}";
	struct fb_network_spec network = {0};

	OK(parse(&network, "{\"schema\":1,\"ports\":[{\"hosts\":[\"0.0.0.0\"],\"port\":80},{\"hosts\":[\"::\"],\"port\":81},"
		 "{\"protocol\":\"udp\",\"hosts\":[\"127.0.0.1\"],\"port\":81}]}"));
	OK(fb_network_read_taken(&network, live, sizeof(live) - 1, &err));
	CHECK(network.ports[0].taken == 0 && network.ports[1].taken == 8081 && network.ports[2].taken == 9000);
	fb_network_free(&network);
}

static void refuse(const char *document, const char *path)
{
	struct fb_network_spec network = {0};

	CHECK(parse(&network, "%s", document) == -EINVAL && err.stage == FB_STAGE_NETWORK && strcmp(err.path, path) == 0);
	if (strcmp(err.path, path) != 0)
		show(&err);
}

#define BAD(member, value) refuse("{\"schema\":1,\"endpoints\":[" VETH("eth0", "fbv1", ",\"" member "\":" value) "]}", ".endpoints[0]." member)
#define BAD_PORT(members, path) refuse("{\"schema\":1,\"ports\":[{" members "}]}", ".ports[0]." path)

static void test_refused(void)
{
	refuse("[]", "");
	refuse("{}", ".schema");
	refuse("{\"schema\":2}", ".schema");
	refuse("{\"schema\":1,\"more\":1}", ".more");
	refuse("{\"schema\":1,\"netd\":[\"netd\"]}", ".netd");
	BAD("unknown", "1");
	BAD("kind", "\"vlan\"");
	BAD("name", "\"a/b\"");
	BAD("name", "\"..\"");
	BAD("name", "\"sixteen-letters-\"");
	BAD("link", "\"\"");
	BAD("host", "\"eth0\"");
	BAD("mac", "\"02:42:ac:1e:00\"");
	BAD("mac", "\"03:42:ac:1e:00:02\"");
	BAD("mac", "\"02:42:ac:1e:00:02:\"");
	BAD("mtu", "65536");
	BAD("addresses", "[\"172.30.0.2/33\"]");
	BAD("addresses", "[\"172.30.0/16\"]");
	BAD("addresses", "[\"172.30.0.2/\"]");
	BAD("gateways", "[\"10.0.0.1\",\"10.0.0.2\"]");
	BAD("leases", "[\"/etc/passwd\"]");
	BAD("leases", "[\"leases/x\"]");
	BAD("leases", "[\"/x/leases/\"]");
	BAD("leases", "[\"/x/leases/..\"]");
	BAD("leases", "[\"/x/leases/../y/leases/z\"]");
	BAD("leases", "[\"/x/releases/y\"]");
	BAD("network", "\"xyz\"");
	BAD_PORT("\"hosts\":[]", "port");
	BAD_PORT("\"port\":80,\"first\":9,\"last\":8", "last");
	BAD_PORT("\"port\":80,\"last\":8", "last");
	BAD_PORT("\"port\":80,\"protocol\":\"icmp\"", "protocol");
	BAD_PORT("\"port\":80,\"address\":\"::1\"", "address");
	BAD_PORT("\"port\":65536", "port");
}

/* A datagram from the host's side to a socket inside, over whatever lies between. */
static bool reaches(int network_namespace, const char *to)
{
	struct fb_netns_visit visit = {-1};
	struct timeval patience = {.tv_usec = 20000};
	struct fb_address target = {0};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(7)};
	const struct sockaddr *at = (const void *)&four;
	socklen_t length = sizeof(four);
	int inside, outside;
	char byte = 0;

	CHECK(fb_address_read(to, &target));
	four.sin_addr = target.v4;
	if (target.family == AF_INET6) {
		six.sin6_addr = target.v6;
		at = (const void *)&six;
		length = sizeof(six);
	}
	OK(fb_netns_enter(&visit, network_namespace, &err));
	inside = socket(target.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fb_netns_leave(&visit);
	outside = socket(target.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(inside, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	/* To bind to the v6 address it has to be usable, not tentative. */
	CHECK(bind(inside, at, length) == 0);
	/* A port forwards when the kernel has seen its carrier, which is not told: what is sent before is lost. */
	for (int tries = 0; tries < 500 && byte != 'x'; tries++) {
		CHECK(sendto(outside, "x", 1, 0, at, length) == 1);
		(void)!recv(inside, &byte, 1, 0);
	}
	close(inside);
	close(outside);
	return byte == 'x';
}

static void make_bridge(void)
{
	struct fb_address addresses[2];
	struct fb_bridge bridge = {.name = "fb-net", .addresses = addresses, .address_count = 2, .ipv6 = true};

	CHECK(fb_address_read("172.30.0.1/16", &addresses[0]) && fb_address_read("fd00:30::1/64", &addresses[1]));
	OK(fb_bridge_ensure(&bridge, &err));
}

static void test_veth(void)
{
	struct fb_network_spec network = {0};
	int ns = -1;
	const char *text;

	endpoints(&network, FIRST);
	OK(fb_network_make(&network, false, &ns, &err));
	CHECK(reaches(ns, "172.30.0.2") && reaches(ns, "fd00:30::2"));
	text = output_in(ns, "ip address");
	CHECK(strstr(text, "02:42:ac:1e:00:02") && strstr(text, "172.30.0.2/16 brd 172.30.255.255") && strstr(text, "mtu 1400"));
	CHECK(strstr(text, "inet6 ::1/128") && strstr(text, "inet 127.0.0.1/8") && !strstr(text, "fd00:30::2/64 scope global tentative"));
	CHECK(strstr(output_in(ns, "ip route"), "default via 172.30.0.1 dev eth0"));
	CHECK(strstr(output_in(ns, "ip -6 route"), "default via fd00:30::1 dev eth0"));
	text = output("ip -d address show fbv0000000001");
	CHECK(strstr(text, "master fb-net") && strstr(text, "hairpin on") && strstr(text, "isolated off") && !strstr(text, "inet6"));
	/* The namespace is kept by its descriptor alone, and the links go with it; whenever that is, the name is not in the way. */
	close(ns);
	OK(fb_network_make(&network, true, &ns, &err));
	/* And what is sent to the address goes here, not to the port of that life. */
	CHECK(strcmp(output("bridge fdb show | grep 02:42:ac:1e:00:02 | grep -vc 'dev fbv0000000001 .*sticky'"), "0\n") == 0);
	CHECK(strstr(output("bridge fdb show"), "02:42:ac:1e:00:02 dev fbv0000000001"));
	CHECK(reaches(ns, "172.30.0.2") && reaches(ns, "fd00:30::2"));
	close(ns);
	fb_network_free(&network);
}

static void test_without_ipv6(void)
{
	struct fb_network_spec network = {0};
	int ns = -1;
	const char *text;

	endpoints(&network, VETH("eth0", "fbv0000000002", ",\"addresses\":[\"172.30.0.3/16\"],\"gateways\":[\"10.1.1.1\"],\"isolated\":true,\"napi\":true"));
	OK(fb_network_make(&network, false, &ns, &err));
	CHECK(reaches(ns, "172.30.0.3"));
	text = output_in(ns, "ip -6 address");
	CHECK(strstr(text, "::1/128") && !strstr(text, "eth0"));
	CHECK(strstr(output("ip -d link show fbv0000000002"), "isolated on"));
	CHECK(strstr(output_in(ns, "ethtool -k eth0"), "generic-receive-offload: on"));
	/* A gateway that no address is beside is on the link. */
	CHECK(strstr(output_in(ns, "ip route"), "default via 10.1.1.1 dev eth0 proto static onlink"));
	close(ns);
	fb_network_free(&network);
}

static void test_macvlan(void)
{
	struct fb_network_spec network = {0};
	int ns = -1;

	CHECK(system("ip link add parent type veth peer name rest && ip link set parent up && ip link set rest up && "
		     "ip address add 10.7.0.1/24 dev rest") == 0);
	endpoints(&network, "{\"network\":" ID ",\"kind\":\"macvlan\",\"link\":\"parent\",\"mode\":\"private\",\"name\":\"eth0\","
			    "\"addresses\":[\"10.7.0.2/24\"],\"gateways\":[\"0.0.0.0\"]}");
	OK(fb_network_make(&network, false, &ns, &err));
	CHECK(reaches(ns, "10.7.0.2"));
	CHECK(strstr(output_in(ns, "ip -d link show eth0"), "macvlan mode private"));
	CHECK(strstr(output_in(ns, "ip route"), "default dev eth0"));
	close(ns);
	network.endpoints[0].mode = "sideways";
	CHECK(fb_network_make(&network, false, &ns, &err) == -EINVAL && strcmp(err.path, "parent") == 0);
	network.endpoints[0].link = "absent";
	network.endpoints[0].mode = "bridge";
	CHECK(fb_network_make(&network, false, &ns, &err) == -ENODEV && strcmp(err.path, "absent") == 0);
	fb_network_free(&network);
}

/* Nothing of the second is left, and all of the first. */
static void test_add_and_remove(void)
{
	struct fb_network_spec network = {0}, more = {0}, taken = {0}, wrong = {0};
	int ns = -1;

	endpoints(&network, FIRST);
	endpoints(&more, VETH("eth1", "fbv0000000004", ",\"addresses\":[\"172.30.0.4/16\"]"));
	endpoints(&taken, VETH("eth0", "fbv0000000005", ""));
	endpoints(&wrong, VETH("eth2", "fbv0000000006", ",\"addresses\":[\"172.30.0.6/16\",\"172.30.0.6/16\"]"));
	OK(fb_network_make(&network, true, &ns, &err));
	OK(fb_network_add(&more, ns, false, &err));
	CHECK(reaches(ns, "172.30.0.4") && reaches(ns, "172.30.0.2"));
	CHECK(fb_network_add(&taken, ns, false, &err) == -EEXIST && strcmp(err.path, "fbv0000000005") == 0);
	CHECK(fb_network_add(&wrong, ns, false, &err) == -EEXIST && strcmp(err.path, "eth2") == 0);
	CHECK(strcmp(output("ip -o link | grep -c -e fbv0000000005 -e fbv0000000006"), "0\n") == 0);
	CHECK(!strstr(output_in(ns, "ip link"), "eth2"));
	/* A host's end of the same name is another container's: it stays. */
	CHECK(fb_network_add(&more, ns, false, &err) == -EEXIST);
	CHECK(reaches(ns, "172.30.0.4"));
	/* The container may call it as it likes. */
	CHECK(strcmp(output_in(ns, "ip link set eth1 name other"), "") == 0);
	OK(fb_network_remove(more.endpoints, ns, &err));
	OK(fb_network_remove(more.endpoints, ns, &err));
	CHECK(!strstr(output_in(ns, "ip link"), "other"));
	/* Two interfaces on one network answer for each other's address: forget what the one that has gone said. */
	CHECK(system("ip neigh flush dev fb-net") == 0);
	CHECK(reaches(ns, "172.30.0.2"));
	close(ns);
	fb_network_free(&network);
	fb_network_free(&more);
	fb_network_free(&taken);
	fb_network_free(&wrong);
}

static void write_lease(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/leases/%s", directory, name);
	file = fopen(path, "we");
	fputs(text, file);
	fclose(file);
}

static void test_leases(void)
{
	char directory[] = "/tmp/fastbox-network-XXXXXX", command[128], list[512];
	struct fb_network_spec network = {0};

	CHECK(mkdtemp(directory) != NULL);
	snprintf(command, sizeof(command), "mkdir %s/leases", directory);
	CHECK(system(command) == 0);
	write_lease(directory, "1", "{\"container\":\"mine\"}");
	write_lease(directory, "2", "{\"container\":\"another\"}");
	write_lease(directory, "3", "{");
	snprintf(list, sizeof(list), VETH("eth0", "fbv1", ",\"leases\":[\"%s/leases/1\",\"%s/leases/2\",\"%s/leases/3\",\"%s/leases/4\"]"), directory,
		 directory, directory, directory);
	endpoints(&network, list);
	snprintf(command, sizeof(command), "ls %s/leases | tr -d '\\n'", directory);
	fb_network_give_back(&network, "mine");
	CHECK(strcmp(output(command), "2") == 0);
	fb_network_give_back(&network, NULL);
	CHECK(strcmp(output(command), "") == 0);
	fb_network_free(&network);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	CHECK(system(command) == 0);
}

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

/* With "time COUNT" this prints what a start costs; a test only says that many fit. */
static void test_many(int count)
{
	struct fb_network_spec network = {0};
	char list[512];
	int *ns = calloc((size_t)count, sizeof(*ns));
	double first = 0, last = 0;

	for (int i = 0; i < count; i++) {
		double begin;

		snprintf(list, sizeof(list), VETH("eth0", "fbv1%09d", ",\"mtu\":1500,\"addresses\":[\"172.30.%d.%d/16\"],\"gateways\":[\"172.30.0.1\"]"), i,
			 1 + i / 200, 1 + i % 200);
		endpoints(&network, list);
		begin = now();
		OK(fb_network_make(&network, false, &ns[i], &err));
		last = now() - begin;
		first = first == 0 || (i < 20 && last < first) ? last : first;
		fb_network_free(&network);
	}
	if (count > 20)
		printf("%d namespaces: the best of the first 20 took %.0f us, the last %.0f us\n", count, first, last);
	for (int i = 0; i < count; i++)
		close(ns[i]);
	free(ns);
}

static void time_parts(void)
{
	struct fb_netns_visit visit = {-1};
	struct fb_network_spec network = {0};
	double at[4], best[3] = {1e9, 1e9, 1e9};
	int ns = -1;

	endpoints(&network, VETH("eth0", "fbv2", ",\"mtu\":1500,\"addresses\":[\"172.30.250.1/16\"],\"gateways\":[\"172.30.0.1\"]"));
	for (int i = 0; i < 50; i++) {
		at[0] = now();
		OK(fb_netns_make(&visit, &ns, &err));
		fb_netns_leave(&visit);
		at[1] = now();
		OK(fb_network_add(&network, ns, false, &err));
		at[2] = now();
		OK(fb_network_remove(network.endpoints, ns, &err));
		at[3] = now();
		close(ns);
		for (int j = 0; j < 3; j++)
			best[j] = at[j + 1] - at[j] < best[j] ? at[j + 1] - at[j] : best[j];
	}
	printf("best of 50: namespace %.0f us, one veth endpoint %.0f us, its removal %.0f us\n", best[0], best[1], best[2]);
	at[0] = now();
	for (int i = 0; i < 20; i++) {
		OK(fb_network_make(&network, true, &ns, &err));
		close(ns);
	}
	printf("20 starts again at once, with the last life's link in the way: %.0f us each\n", (now() - at[0]) / 20);
	fb_network_free(&network);
}

int main(int argc, char **argv)
{
	int files;

	play_host();
	make_bridge();
	if (argc > 2 && strcmp(argv[1], "time") == 0) {
		time_parts();
		test_many(atoi(argv[2]));
		return failures != 0;
	}
	files = open_files();
	test_document();
	test_taken();
	test_refused();
	test_veth();
	test_without_ipv6();
	test_macvlan();
	test_add_and_remove();
	test_leases();
	test_many(20);
	CHECK(open_files() == files);
	return failures != 0;
}
