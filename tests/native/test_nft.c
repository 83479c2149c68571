/* nftables, in a network namespace of the test's own: what the kernel has afterwards is read by `nft`, which is not ours. */
#include <dirent.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>

#include "nft.h"
#include "nft_fixture.h"

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
	run("nft 'add chain inet fastbox layout-0; delete chain inet fastbox layout-2'");
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
	for (int i = 0; i < 2; i++)
		OK(fb_nft_shard("fb-nets1", true, true, &err));
	CHECK(count("nft list ruleset", "fb-nets1") == 4);
	for (int i = 0; i < 2; i++)
		OK(fb_nft_shard("fb-nets1", true, false, &err));
	CHECK(gone("nft list ruleset", "fb-nets1"));
	run("nft flush ruleset");
	OK(fb_nft_network(&network, false, &err));
	memset(&err, 0, sizeof(err));
	CHECK(fb_nft_network(&network, true, &err) == -ENOENT && err.code == ENOENT && strstr(err.path, "inet fastbox"));
}

/* ---- elements ---- */

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
	CHECK(gone("nft list map inet fastbox publish4_any", "expires")); /* the last one away, which ends by itself */
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

/* ---- many processes, and nothing left ---- */

static void test_endpoints_at_once(void)
{
	struct fb_address any = address("0.0.0.0");

	run("nft flush ruleset");
	OK(fb_nft_base(&err));
	for (int i = 0; i < 6; i++) {
		if (fork() == 0) {
			struct fb_port port = {.protocol = IPPROTO_TCP, .hosts = &any, .host_count = 1, .port = 80, .address = address("172.30.0.2"),
					       .taken = (uint16_t)(7000 + i)};
			struct fb_network_spec spec = spec_of(NULL, &port, 1);
			int rc = 0;

			for (int j = 0; rc >= 0 && j < 200; j++) {
				rc = fb_nft_endpoints(&spec, true, &err);
				if (rc >= 0 && j < 199)
					rc = fb_nft_endpoints(&spec, false, &err);
			}
			tell("endpoints", rc);
			_exit(rc < 0);
		}
	}
	for (int i = 0, status; i < 6; i++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(count("nft list map inet fastbox publish4_any", "tcp . 700") == 6);
	run("nft flush ruleset");
	OK(fb_nft_base(&err));
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int found = 0;

	while (dir && readdir(dir))
		found++;
	if (dir)
		closedir(dir);
	return found;
}

/* Each way out, good and bad, a hundred times: no descriptor is left (one netlink socket is kept from the first call on). */
static void test_leaks(void)
{
	struct fb_address any = address("0.0.0.0");
	struct fb_port port = {.protocol = IPPROTO_SCTP, .hosts = &any, .host_count = 1, .port = 80, .address = address("172.30.0.2"), .taken = 6000};
	struct fb_port other = port;
	struct fb_network_spec spec = spec_of(NULL, &port, 1), second = spec_of(NULL, &other, 1);
	struct fb_nft_network network = {"fb-leak", true, true, true};
	int before = descriptors();

	other.address = address("172.30.0.3");
	for (int i = 0; i < 100; i++) {
		OK(fb_nft_base(&err));
		OK(fb_nft_network(&network, true, &err));
		OK(fb_nft_endpoints(&spec, true, &err));
		if (i % 10 == 0) /* a failure waits for RCU */
			CHECK(fb_nft_endpoints(&second, true, &err) < 0);
		OK(fb_nft_endpoints(&spec, false, &err));
		OK(fb_nft_network(&network, false, &err));
	}
	CHECK(before > 0);
	CHECK(descriptors() == before);
	CHECK(gone("nft list ruleset", "172.30.0.3") && gone("nft list ruleset", "fb-leak"));
}

int main(void)
{
	if (!own_namespace())
		return 77;
	test_base();
	test_base_at_once();
	test_network();
	test_endpoints();
	personality(UNAME26); /* the way of kernels before 6.12 */
	test_network();
	test_endpoints();
	personality(PER_LINUX);
	test_endpoints_at_once();
	test_leaks();
	test_many(10);
	test_many(8000);
	test_redirect();
	test_coexist();
	return failures > 0;
}
