#include "network_live.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "link.h"
#include "netns.h"
#include "nft.h"
#include "ports.h"
#include "service.h"
#include "supervise.h"
#include "task.h"

#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_NETWORK, (code), "network", (path), (detail))

static void free_one(struct fb_network *network)
{
	fb_network_free(&network->spec);
	free(network->dns);
	free(network);
}

static void free_all(struct fb_container *container)
{
	struct fb_network *next;

	for (struct fb_network *n = container->network; n; n = next) {
		next = n->next;
		free_one(n);
	}
	container->network = NULL;
}

/* The namespace is the container's alone: in the host's nothing may be set up, and another container's is that one's. */
static int check_namespaces(const struct fb_spec *spec, struct fb_error *err)
{
	bool own = false;

	for (size_t i = 0; i < spec->namespace_count; i++) {
		const struct fb_namespace *ns = &spec->namespaces[i];

		own |= ns->type == CLONE_NEWNET && !ns->path;
		if (ns->type == CLONE_NEWUSER && ns->path)
			return FAIL(EOPNOTSUPP, spec->engine.network, "the user namespace is another's");
	}
	return own ? 0 : FAIL(EINVAL, spec->engine.network, "without a network namespace of the container's own");
}

int fb_network_reserve(struct fb_container *container, const struct fb_spec *spec, struct fb_error *err)
{
	struct fb_network *network;
	int r;

	if (!spec->engine.network)
		return 0;
	if ((r = check_namespaces(spec, err)) < 0)
		return r;
	network = calloc(1, sizeof(*network));
	if (!network)
		return FAIL(ENOMEM, spec->engine.network, NULL);
	r = fb_network_load(spec->engine.network, &network->spec, err);
	if (r < 0) {
		free(network);
		return r;
	}
	/* The leases of the last life are this one's, so they are kept. */
	network->again = container->network != NULL;
	free_all(container);
	container->network = network;
	return fb_ports_reserve(&network->spec, &network->spec.arena, err);
}

/* Before the container's first instruction: it may ask for a name at once. */
static int serve(struct fb_supervisor *sup, struct fb_container *container, int network_namespace, struct fb_error *err)
{
	struct fb_network *network = container->network;
	int r;

	network->up = true;
	r = fb_nft_endpoints(&network->spec, true, err);
	return r < 0 ? r : fb_service_open(sup, container, &network->spec, network_namespace, err);
}

static int made_by_clone(void *context, pid_t pid, struct fb_error *err)
{
	struct fb_network_start *start = context;
	struct fb_network *network = start->container->network;
	fb_auto_close int fd = fb_netns_of(pid, err);
	int r = fd < 0 ? fd : fb_network_add(&network->spec, fd, network->again, err);

	return r < 0 ? r : serve(start->sup, start->container, fd, err);
}

static bool has_own_users(const struct fb_spec *spec)
{
	for (size_t i = 0; i < spec->namespace_count; i++)
		if (spec->namespaces[i].type == CLONE_NEWUSER)
			return true;
	return false;
}

/* "eth0.5" is one name: where a setting's parts are between dots, it has a slash. */
static char *key_of(struct fb_arena *arena, const char *name)
{
	char *key = fb_arena_printf(arena, "net.ipv6.conf.%s.disable_ipv6", name);

	for (size_t i = strlen("net.ipv6.conf."); key && key[i] && i < strlen("net.ipv6.conf.") + strlen(name); i++)
		key[i] = key[i] == '.' ? '/' : key[i];
	return key;
}

/* What the container's process writes in its own procfs (see link.c): before the settings that were asked for, which may say otherwise. */
static int leave_out_ipv6(const struct fb_network_spec *network, struct fb_spec *spec, struct fb_error *err)
{
	size_t count = spec->sysctl.count, added = 0;
	fb_auto_close int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char **items;

	/* A kernel without IPv6 has no such settings. */
	if (six < 0)
		return 0;
	items = fb_arena_alloc(&spec->arena, (2 * network->endpoint_count + count + 1) * sizeof(*items));
	for (size_t i = 0; items && i < network->endpoint_count; i++) {
		if (fb_endpoint_has_ipv6(&network->endpoints[i]))
			continue;
		items[added] = key_of(&spec->arena, network->endpoints[i].name);
		items[added + 1] = fb_arena_strdup(&spec->arena, "1");
		if (!items[added] || !items[added + 1])
			items = NULL;
		added += 2;
	}
	if (!items)
		return FAIL(ENOMEM, spec->engine.network, NULL);
	if (count)
		memcpy(items + added, spec->sysctl.items, count * sizeof(*items));
	spec->sysctl = (struct fb_strv){items, added + count};
	return 0;
}

int fb_network_begin(struct fb_supervisor *sup, struct fb_container *container, struct fb_spec *spec,
		     struct fb_network_start *ret_start, struct fb_error *err)
{
	struct fb_network *network = container->network;
	struct fb_network_start *start = ret_start;
	int r;

	*start = (struct fb_network_start){.launch.network_namespace = -1, .sup = sup, .container = container};
	if (!network || !spec->engine.network)
		return 0;
	if (has_own_users(spec)) {
		start->launch.made = made_by_clone;
		start->launch.context = start;
		return 0;
	}
	r = leave_out_ipv6(&network->spec, spec, err);
	if (r == 0)
		r = fb_network_make(&network->spec, network->again, &start->launch.network_namespace, err);
	if (r == 0)
		r = serve(sup, container, start->launch.network_namespace, err);
	if (r < 0)
		fb_network_launched(start);
	return r;
}

void fb_network_launched(struct fb_network_start *start)
{
	fb_cleanup_fd(&start->launch.network_namespace);
}

void fb_network_down(struct fb_supervisor *sup, struct fb_container *container)
{
	if (!container->network)
		return;
	fb_service_close(sup, container);
	for (struct fb_network *n = container->network; n; n = n->next) {
		/* The sockets come last: until then nobody else can have the ports whose elements go. */
		if (n->up)
			(void)fb_nft_endpoints(&n->spec, false, NULL);
		n->up = false;
		fb_ports_close(&n->spec);
		for (size_t i = 0; i < n->spec.port_count; i++)
			n->spec.ports[i].taken = 0;
	}
}

void fb_network_forget(struct fb_container *container)
{
	for (struct fb_network *n = container->network; n; n = n->next)
		fb_network_give_back(&n->spec, container->id);
	free_all(container);
}

void fb_network_abandon(struct fb_container *container)
{
	struct fb_network_spec network;
	char path[PATH_MAX];

	if (container->network || !container->directory)
		return;
	snprintf(path, sizeof(path), "%s/network.json", container->directory);
	if (fb_network_load(path, &network, NULL) < 0)
		return;
	fb_network_give_back(&network, container->id);
	fb_network_free(&network);
}

/* The container of a request, whose process lives, and the namespace that it is in. */
static int find(struct fb_supervisor *sup, const struct fb_request *request, struct fb_container **ret_container, struct fb_error *err)
{
	struct fb_container *container = fb_container_find(sup, request->id);
	int fd;

	if (!container)
		return FAIL(ENOENT, request->id, "no such container here, or it has ended");
	if (!container->network)
		return FAIL(EOPNOTSUPP, request->id, "it was started without a network of its own");
	if (container->task.finished)
		return FAIL(EBUSY, request->id, "it is starting again: wait until it runs");
	/* Reaped or not: its namespaces went with its end. */
	fd = container->task.reaped ? -1 : fb_netns_of(container->task.pid, NULL);
	if (fd < 0)
		return FAIL(ENOENT, request->id, "it has ended");
	*ret_container = container;
	return fd;
}

static struct fb_endpoint *find_endpoint(struct fb_container *container, const char *name, struct fb_network **ret_network)
{
	for (struct fb_network *n = container->network; n; n = n->next)
		for (size_t i = 0; i < n->spec.endpoint_count; i++)
			if (strcmp(n->spec.endpoints[i].name, name) == 0) {
				*ret_network = n;
				return &n->spec.endpoints[i];
			}
	return NULL;
}

/* What its name server is told from now on; on failure it goes on as before. */
static int update_dns(struct fb_supervisor *sup, struct fb_container *container, const struct fb_request *request,
		      int network_namespace, struct fb_error *err)
{
	struct fb_network *first = container->network;
	struct fb_dns before = first->spec.dns;
	char *dns = request->dns ? strdup(request->dns) : NULL;
	int r;

	if (!request->dns_given)
		return 0;
	if (request->dns && !dns)
		return FAIL(ENOMEM, request->id, NULL);
	first->spec.dns = (struct fb_dns){.wanted = dns, .document = dns};
	r = fb_service_update(sup, container, &first->spec, network_namespace, err);
	if (r < 0) {
		first->spec.dns = before;
		free(dns);
		return r;
	}
	free(first->dns);
	first->dns = dns;
	return 0;
}

static int connect_in(struct fb_supervisor *sup, struct fb_container *container, const struct fb_request *request,
		      struct fb_network *network, int network_namespace, struct fb_error *err)
{
	struct fb_endpoint *endpoint = network->spec.endpoints;
	struct fb_network *other;
	int r;

	if (find_endpoint(container, endpoint->name, &other))
		return FAIL(EEXIST, endpoint->name, "the container has an interface of this name");
	r = fb_network_add(&network->spec, network_namespace, false, err);
	if (r < 0)
		return r;
	r = fb_nft_endpoints(&network->spec, true, err);
	if (r == 0)
		r = update_dns(sup, container, request, network_namespace, err);
	if (r < 0) {
		(void)fb_nft_endpoints(&network->spec, false, NULL);
		(void)fb_network_remove(endpoint, network_namespace, NULL);
		return r;
	}
	network->up = true;
	network->next = container->network->next;
	container->network->next = network;
	return 0;
}

int fb_network_connect(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
		       struct fb_error *err)
{
	struct fb_container *container = NULL;
	fb_auto_close int fd = find(sup, request, &container, err);
	struct fb_network *network;
	int r;

	(void)conversation, (void)ret_exit;
	if (fd < 0)
		return fd;
	network = calloc(1, sizeof(*network));
	if (!network)
		return FAIL(ENOMEM, request->id, NULL);
	r = fb_network_parse_endpoint(request->endpoint, strlen(request->endpoint), &network->spec, err);
	if (r == 0)
		r = connect_in(sup, container, request, network, fd, err);
	if (r < 0)
		free_one(network);
	return r;
}

static void take_out(struct fb_container *container, struct fb_network *network, const struct fb_endpoint *endpoint)
{
	struct fb_network_spec *spec = &network->spec;
	size_t index = (size_t)(endpoint - spec->endpoints);
	struct fb_network **at = &container->network;

	memmove(spec->endpoints + index, spec->endpoints + index + 1, (--spec->endpoint_count - index) * sizeof(*endpoint));
	/* The first one has the ports and more, and stays. */
	if (spec->endpoint_count || network == container->network)
		return;
	while (*at != network)
		at = &(*at)->next;
	*at = network->next;
	free_one(network);
}

/* The lease is whose request this is: it goes once network.json is without it, since the next life goes by that. */
int fb_network_disconnect(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
			  struct fb_error *err)
{
	struct fb_container *container = NULL;
	fb_auto_close int fd = find(sup, request, &container, err);
	struct fb_network *network = NULL;
	struct fb_endpoint *endpoint;
	struct fb_network_spec alone = {.endpoint_count = 1};
	int r;

	(void)conversation, (void)ret_exit;
	if (fd < 0)
		return fd;
	endpoint = find_endpoint(container, request->name, &network);
	if (!endpoint)
		return FAIL(ENODEV, request->name, "the container has no such interface");
	alone.endpoints = endpoint;
	r = update_dns(sup, container, request, fd, err);
	if (r == 0)
		r = fb_nft_endpoints(&alone, false, err);
	if (r == 0) {
		r = fb_network_remove(endpoint, fd, err);
		if (r < 0)
			(void)fb_nft_endpoints(&alone, true, NULL);
	}
	if (r == 0)
		take_out(container, network, endpoint);
	return r;
}

int fb_network_dns(struct fb_supervisor *sup, struct fb_request *request, struct fb_conversation *conversation, int *ret_exit,
		   struct fb_error *err)
{
	struct fb_container *container = NULL;
	fb_auto_close int fd = find(sup, request, &container, err);

	(void)conversation, (void)ret_exit;
	return fd < 0 ? fd : update_dns(sup, container, request, fd, err);
}
