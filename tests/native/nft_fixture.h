/* What the tests of nftables and of ports share: a network namespace of their own, and looking at it with programs that are not ours. */
#ifndef FB_TEST_NFT_FIXTURE_H
#define FB_TEST_NFT_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "error.h"
#include "network.h"

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

static struct fb_network_spec spec_of(struct fb_endpoint *endpoint, struct fb_port *ports, size_t count_ports)
{
	return (struct fb_network_spec){.endpoints = endpoint, .endpoint_count = endpoint ? 1 : 0, .ports = ports, .port_count = count_ports};
}

/* False, with a word, where the test can't run. */
static bool own_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0 && system("command -v nft iptables-nft ss sysctl >/dev/null && ip link set lo up") == 0)
		return true;
	fprintf(stderr, "skipped: no network namespace, or no nft, iptables-nft, ip, ss, sysctl\n");
	return false;
}

#endif
