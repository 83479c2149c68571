/* netlink.c and bridge.c: batches, what an error names, bridges by many hands, routes that overlap. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/wait.h>

#include "bridge.h"
#include "link.h"
#include "netlink.h"
#include "netns_fixture.h"

static struct fb_error err;

static struct fb_address address(const char *text)
{
	struct fb_address made = {0};

	CHECK(fb_address_read(text, &made));
	return made;
}

static void bridge_message(struct fb_netlink *nl, const char *name)
{
	struct ifinfomsg info = {0};
	size_t nest;

	fb_netlink_message(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info), "link add", name);
	fb_netlink_put_text(nl, IFLA_IFNAME, name);
	nest = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_KIND, "bridge");
	fb_netlink_nest_end(nl, nest);
}

static void test_batch(void)
{
	struct fb_address bad = address("10.200.0.1/24");
	struct fb_netlink nl;

	OK(fb_netlink_open(&nl, &err));
	OK(fb_netlink_send(&nl, 0, &err)); /* nothing */
	bridge_message(&nl, "one");
	bridge_message(&nl, "two");
	OK(fb_netlink_send(&nl, 0, &err));
	CHECK(fb_link_index(nl.fd, "one") && fb_link_index(nl.fd, "two") && !fb_link_index(nl.fd, "three"));
	/* The first of two errors is told, by what it was about; what follows is done all the same. */
	bridge_message(&nl, "three");
	bridge_message(&nl, "two");
	fb_link_address(&nl, 4711, &bad, NLM_F_EXCL, "nowhere");
	bridge_message(&nl, "four");
	CHECK(fb_netlink_send(&nl, 0, &err) == -EEXIST);
	CHECK(err.code == EEXIST && strcmp(err.path, "two") == 0 && strcmp(err.call, "link add") == 0 && err.stage == FB_STAGE_NETWORK);
	CHECK(fb_link_index(nl.fd, "three") && fb_link_index(nl.fd, "four"));
	/* The next batch knows nothing of it. */
	fb_link_delete(&nl, "three");
	OK(fb_netlink_send(&nl, 0, &err));
	CHECK(!fb_link_index(nl.fd, "three"));
	fb_link_delete(&nl, "three");
	CHECK(fb_netlink_send(&nl, 0, &err) == -ENODEV);
	fb_link_delete(&nl, "three");
	OK(fb_netlink_send(&nl, ENODEV, &err));
	fb_netlink_close(&nl);
	CHECK(nl.fd == -1);
}

/* The kernel's own words are in the error. */
static void test_words(void)
{
	struct fb_address mask = address("10.200.0.1/24");
	struct fb_netlink nl;

	OK(fb_netlink_open(&nl, &err));
	mask.prefix = 77;
	fb_link_address(&nl, fb_link_index(nl.fd, "one"), &mask, NLM_F_EXCL, "one");
	CHECK(fb_netlink_send(&nl, 0, &err) == -EINVAL);
	CHECK(err.detail[0] != '\0' && strcmp(err.path, "one") == 0);
	fb_netlink_close(&nl);
}

static void test_too_large(void)
{
	struct fb_netlink nl;
	char name[FB_NETLINK_MESSAGES + 8][16];

	OK(fb_netlink_open(&nl, &err));
	for (int i = 0; i < FB_NETLINK_MESSAGES + 8; i++) {
		snprintf(name[i], sizeof(name[i]), "many%d", i);
		bridge_message(&nl, name[i]);
	}
	CHECK(fb_netlink_send(&nl, 0, &err) == -EMSGSIZE);
	CHECK(!fb_link_index(nl.fd, "many0"));
	bridge_message(&nl, "after");
	OK(fb_netlink_send(&nl, 0, &err));
	CHECK(fb_link_index(nl.fd, "after"));
	fb_netlink_close(&nl);
}

static void test_bridge(void)
{
	struct fb_address addresses[] = {address("172.30.0.1/16"), address("fd00:30::1/64")};
	struct fb_bridge bridge = {.name = "fb-test", .addresses = addresses, .address_count = 2, .mtu = 1400, .ipv6 = true};
	struct fb_bridge other = {.name = "lo"}, four = {.name = "fb-four", .addresses = addresses, .address_count = 1};
	const char *text;

	CHECK(fb_bridge_ensure(&bridge, &err) == 1);
	CHECK(fb_bridge_ensure(&bridge, &err) == 0);
	text = output("ip -d link show fb-test; ip address show fb-test");
	CHECK(strstr(text, "mtu 1400") && strstr(text, "02:42:ac:1e:00:01") && strstr(text, "mcast_snooping 0") && strstr(text, "stp_state 0"));
	CHECK(strstr(text, "172.30.0.1/16 brd 172.30.255.255") && strstr(text, "fd00:30::1/64") && !strstr(text, "tentative") && strstr(text, "UP"));
	text = output("cd /proc/sys/net; cat ipv4/ip_forward ipv4/conf/fb-test/route_localnet ipv4/conf/fb-test/accept_local "
		      "ipv6/conf/all/forwarding ipv6/conf/fb-test/accept_ra | tr -d '\\n'");
	CHECK(strcmp(text, "11010") == 0);
	/* Without IPv6 it has no address of it at all. */
	CHECK(fb_bridge_ensure(&four, &err) == 1);
	CHECK(strstr(output("ip address show fb-four"), "inet6") == NULL);
	CHECK(fb_bridge_ensure(&other, &err) == -EEXIST && strcmp(err.path, "lo") == 0);
	OK(fb_bridge_delete("fb-four", &err));
	OK(fb_bridge_delete("fb-four", &err));
	CHECK(strcmp(output("ip link show fb-four 2>&1 | grep -c 'does not exist'"), "1\n") == 0);
}

/* What was made goes when the rest can't be. */
static void test_bridge_fails_whole(void)
{
	struct fb_address wrong = address("172.31.0.1/16");
	struct fb_bridge bridge = {.name = "fb-wrong", .addresses = &wrong, .address_count = 1};
	struct fb_bridge lost = {.name = "fb-shard", .main = "fb-none"};

	wrong.prefix = 99;
	CHECK(fb_bridge_ensure(&bridge, &err) == -EINVAL);
	CHECK(fb_bridge_ensure(&lost, &err) == -ENODEV && strcmp(err.path, "fb-none") == 0);
	CHECK(strcmp(output("ip link | grep -c -e fb-wrong -e fb-shard"), "0\n") == 0);
}

static void test_shard(void)
{
	struct fb_bridge shard = {.name = "fb-test.1", .main = "fb-test", .mtu = 1400, .isolated = true};
	const char *text;

	CHECK(fb_bridge_ensure(&shard, &err) == 1);
	CHECK(fb_bridge_ensure(&shard, &err) == 0);
	text = output("ip -d link show master fb-test; ip -d link show master fb-test.1");
	CHECK(strstr(text, "state UP") && !strstr(text, "state DOWN") && !strstr(text, "state LOWERLAYERDOWN"));
	CHECK(strcmp(output("ip -d link show master fb-test | grep -c 'isolated on'; ip -d link show master fb-test.1 | grep -c 'isolated off'"), "1\n1\n") == 0);
	OK(fb_bridge_delete("fb-test.1", &err));
	CHECK(strcmp(output("ip link | grep -c fbs"), "0\n") == 0);
}

/* Whoever returns may use it: nobody sees one that is half made, and one of them made it. */
static void test_many_hands(void)
{
	enum { HANDS = 8 };
	struct fb_address own = address("172.29.0.1/24");
	struct fb_bridge bridge = {.name = "fb-many", .addresses = &own, .address_count = 1};
	int made = 0, status;
	pid_t pids[HANDS];

	for (int i = 0; i < HANDS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			int r = fb_bridge_ensure(&bridge, &err);

			if (r < 0)
				show(&err);
			_exit(r < 0 ? 100 : strstr(output("ip address show fb-many up"), "172.29.0.1/24") ? r : 101);
		}
	}
	for (int i = 0; i < HANDS; i++) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		made += WEXITSTATUS(status);
	}
	CHECK(made == 1);
}

static void clash(const char *subnet, const char *expected)
{
	struct fb_address asked = address(subnet);
	char route[96];

	OK(fb_route_clash(&asked, route, sizeof(route), &err));
	CHECK(strncmp(route, expected, strlen(expected)) == 0 && !*route == !*expected);
	if (strncmp(route, expected, strlen(expected)) != 0)
		fprintf(stderr, "  %s: %s\n", subnet, route);
}

static void test_routes(void)
{
	CHECK(system("ip link add far type veth peer name near && ip link set far up && ip link set near up && "
		     "ip address add 10.9.0.1/24 dev far && ip route add default via 10.9.0.2 && "
		     "ip route add 10.64.0.0/10 via 10.9.0.2 && ip -6 address add fd09::1/64 dev far nodad && "
		     "ip -6 route add default dev far && ip -6 route add fd64::/16 dev far") == 0);
	clash("10.8.0.0/24", "");
	clash("10.9.0.0/16", "10.9.0.0/24 dev far");
	clash("10.9.0.128/25", "10.9.0.0/24 dev far");
	clash("127.0.0.0/8", "");
	clash("10.100.7.0/24", "10.64.0.0/10 dev far");
	clash("172.30.5.0/24", "172.30.0.0/16 dev fb-test");
	clash("0.0.0.0/0", "1");
	clash("fd10::/64", "");
	clash("fd64:1::/64", "fd64::/16 dev far");
	clash("fd09::/32", "fd09::/64 dev far");
}

int main(void)
{
	int files;

	play_host();
	files = open_files();
	test_batch();
	test_words();
	test_too_large();
	test_bridge();
	test_bridge_fails_whole();
	test_shard();
	test_many_hands();
	test_routes();
	CHECK(open_files() == files);
	return failures != 0;
}
