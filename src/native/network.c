#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "link.h"
#include "netns.h"
#include "network.h"

#define LEASE_MAX ((size_t)65536)

/* From inside: the host's socket was made before. */
static int furnish(const struct fb_network_spec *network, struct fb_netlink *host, int network_namespace, bool again,
		   bool fresh, struct fb_error *err)
{
	struct fb_netlink inside;
	int r = fb_netlink_open(&inside, err);

	if (r == 0)
		r = fb_links_make(host, &inside, network_namespace, network->endpoints, network->endpoint_count, again, fresh, err);
	fb_netlink_close(&inside);
	return r;
}

int fb_network_make(const struct fb_network_spec *network, bool again, int *ret_namespace, struct fb_error *err)
{
	struct fb_netns_visit visit = {-1};
	fb_auto_close int made = -1;
	struct fb_netlink host;
	int r = fb_netlink_open(&host, err);

	if (r == 0)
		r = fb_netns_make(&visit, &made, err);
	if (r == 0)
		r = furnish(network, &host, made, again, true, err);
	fb_netns_leave(&visit);
	fb_netlink_close(&host);
	/* The links end with the namespace, and that with its last descriptor. */
	if (r == 0)
		*ret_namespace = fb_steal_fd(&made);
	return r;
}

/* A link that could not be made may be another's by its name: then it is not taken away. */
static void take_back(const struct fb_network_spec *network, struct fb_netlink *host, const bool *before)
{
	struct fb_netlink inside;

	if (fb_netlink_open(&inside, NULL) < 0)
		return;
	for (size_t i = 0; i < network->endpoint_count; i++)
		if (!before[i])
			(void)fb_link_remove(host, &inside, &network->endpoints[i], NULL);
	fb_netlink_close(&inside);
}

static bool is_there(const struct fb_endpoint *endpoint, const struct fb_netlink *host, int inside)
{
	return endpoint->kind == FB_LINK_VETH ? fb_link_index(host->fd, endpoint->host) != 0 :
						fb_link_index(inside, endpoint->name) != 0;
}

static int add(const struct fb_network_spec *network, struct fb_netlink *host, int network_namespace, bool again, struct fb_error *err)
{
	fb_auto_close int inside = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool before[FB_NETWORK_ENDPOINTS] = {false};
	int r;

	if (inside < 0)
		return FB_FAIL(err, FB_STAGE_NETWORK, "socket", NULL);
	for (size_t i = 0; i < network->endpoint_count && !again; i++)
		before[i] = is_there(&network->endpoints[i], host, inside);
	/* Whoever runs there looks after its loopback itself. */
	r = furnish(network, host, network_namespace, again, false, err);
	if (r < 0)
		take_back(network, host, before);
	return r;
}

int fb_network_add(const struct fb_network_spec *network, int network_namespace, bool again, struct fb_error *err)
{
	struct fb_netns_visit visit = {-1};
	struct fb_netlink host;
	int r = fb_netlink_open(&host, err);

	if (r == 0)
		r = fb_netns_enter(&visit, network_namespace, err);
	if (r == 0)
		r = add(network, &host, network_namespace, again, err);
	fb_netns_leave(&visit);
	fb_netlink_close(&host);
	return r;
}

int fb_network_remove(const struct fb_endpoint *endpoint, int network_namespace, struct fb_error *err)
{
	struct fb_netns_visit visit = {-1};
	struct fb_netlink host, inside = {.fd = -1};
	int r = fb_netlink_open(&host, err);

	if (r == 0)
		r = fb_netns_enter(&visit, network_namespace, err);
	if (r == 0)
		r = fb_netlink_open(&inside, err);
	if (r == 0)
		r = fb_link_remove(&host, &inside, endpoint, err);
	fb_netns_leave(&visit);
	fb_netlink_close(&inside);
	fb_netlink_close(&host);
	return r;
}

/* What can't be read is nobody's. */
static bool is_anothers(const char *path, const char *container)
{
	fb_auto_free char *text = NULL;
	struct json_object *json, *owner;
	bool other = false;

	if (fb_read_file(AT_FDCWD, path, LEASE_MAX, &text) < 0)
		return false;
	json = json_tokener_parse(text);
	if (json_object_is_type(json, json_type_object) && json_object_object_get_ex(json, "container", &owner) &&
	    json_object_is_type(owner, json_type_string))
		other = strcmp(json_object_get_string(owner), container) != 0;
	json_object_put(json);
	return other;
}

void fb_network_give_back(const struct fb_network_spec *network, const char *container)
{
	for (size_t i = 0; i < network->endpoint_count; i++)
		for (size_t j = 0; j < network->endpoints[i].leases.count; j++) {
			const char *path = network->endpoints[i].leases.items[j];

			if (!container || !is_anothers(path, container))
				(void)unlink(path);
		}
}
