#include "network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "io.h"
#include "spec_json.h"

#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_NETWORK, (code), "network.json", (path), (detail))

static void put_json(struct json_object **json)
{
	json_object_put(*json);
}

#define auto_json __attribute__((cleanup(put_json)))

/* Unlike the bundle these are ours alone: a word that is not known is a mistake, or a newer fastbox's. */
static int check_members(const struct fb_node *node, const char *const *names)
{
	json_object_object_foreach(node->json, key, value)
	{
		size_t i = 0;

		(void)value;
		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (!names[i])
			return fb_member_fail(node, key, "is not known");
	}
	return 0;
}

bool fb_address_read(const char *text, struct fb_address *ret_address)
{
	struct fb_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	unsigned long most = address.family == AF_INET6 ? 128 : 32, prefix = most;
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN], *end = NULL;
	size_t length = slash ? (size_t)(slash - text) : strlen(text);

	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (inet_pton(address.family, host, &address.v4) != 1)
		return false;
	if (slash) {
		prefix = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || prefix > most)
			return false;
	}
	address.prefix = (unsigned char)prefix;
	*ret_address = address;
	return true;
}

void fb_address_format(const struct fb_address *address, char text[FB_ADDRESS_SIZE])
{
	text[0] = '\0';
	if (address->family)
		inet_ntop(address->family, &address->v4, text, FB_ADDRESS_SIZE);
}

static int read_address_list(const struct fb_node *up, const char *key, struct fb_address **ret_list, size_t *ret_count)
{
	struct fb_strv texts = {0};
	struct fb_address *list;
	int r = fb_json_strv(up, key, &texts);

	if (r < 0)
		return r;
	if (texts.count > FB_NETWORK_ADDRESSES)
		return fb_member_fail(up, key, "has too many items");
	list = fb_node_alloc(up, texts.count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < texts.count; i++)
		if (!fb_address_read(texts.items[i], &list[i]))
			return fb_member_fail(up, key, "holds what is no address");
	*ret_list = list;
	*ret_count = texts.count;
	return 0;
}

/* One of this family, or "". */
static int read_address(const struct fb_node *up, const char *key, int family, struct fb_address *ret_address)
{
	const char *text;
	int r = fb_json_text(up, key, &text);

	if (r <= 0)
		return r;
	if (!fb_address_read(text, ret_address) || ret_address->family != family)
		return fb_member_fail(up, key, "must be an address of its family");
	return 0;
}

static int read_gateways(const struct fb_node *up, struct fb_endpoint *endpoint)
{
	struct fb_address *list = NULL;
	size_t count = 0;
	int r = read_address_list(up, "gateways", &list, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct fb_address *gateway = &endpoint->gateways[list[i].family == AF_INET6];

		if (gateway->family)
			return fb_member_fail(up, "gateways", "has two of one family");
		*gateway = list[i];
	}
	return r;
}

/* As the kernel takes it for a name, and as a part of a path below /proc/sys. */
static bool is_link_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || name[i] == ':')
			return false;
	return length > 0 && length < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_name(const struct fb_node *up, const char *key, const char **ret_name)
{
	int r = fb_json_text(up, key, ret_name);

	if (r < 0)
		return r;
	return r > 0 && is_link_name(*ret_name) ? 0 : fb_member_fail(up, key, "must be the name of an interface");
}

static bool read_mac(const char *text, unsigned char mac[6])
{
	for (int i = 0; i < 6; i++) {
		char pair[3] = {text[3 * i], text[3 * i] ? text[3 * i + 1] : '\0', '\0'};

		if (strspn(pair, "0123456789abcdefABCDEF") != 2 || text[3 * i + 2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return (mac[0] & 1) == 0;
}

static int read_hardware(const struct fb_node *up, struct fb_endpoint *endpoint)
{
	const char *text;
	int r = fb_json_text(up, "mac", &text);

	if (r <= 0)
		return r;
	endpoint->has_mac = true;
	return read_mac(text, endpoint->mac) ? 0 : fb_member_fail(up, "mac", "must be a unicast address such as 02:42:ac:11:00:02");
}

/* A lease is unlinked with all rights: nothing else may ever be named. */
static bool is_lease(const char *path)
{
	static const char directory[] = "/leases/";
	const char *slash = strrchr(path, '/');
	size_t length = sizeof(directory) - 1;

	if (path[0] != '/' || !slash || !slash[1] || strstr(path, "/../") || strcmp(slash, "/..") == 0 || strcmp(slash, "/.") == 0)
		return false;
	return (size_t)(slash + 1 - path) >= length && strncmp(slash + 1 - length, directory, length) == 0;
}

static int read_leases(const struct fb_node *up, struct fb_endpoint *endpoint)
{
	int r = fb_json_strv(up, "leases", &endpoint->leases);

	if (r < 0)
		return r;
	if (endpoint->leases.count > FB_NETWORK_LEASES)
		return fb_member_fail(up, "leases", "has too many items");
	for (size_t i = 0; i < endpoint->leases.count; i++)
		if (!is_lease(endpoint->leases.items[i]))
			return fb_member_fail(up, "leases", "must be absolute paths in directories named leases");
	return 0;
}

static int check_endpoint(const struct fb_node *node, const struct fb_endpoint *endpoint)
{
	if (strlen(endpoint->network) != 64 || strspn(endpoint->network, "0123456789abcdef") != 64)
		return fb_member_fail(node, "network", "must be an id");
	/* It is deleted when it is in the way of the next life: no interface of others may be called so. */
	if (endpoint->kind == FB_LINK_VETH && (!is_link_name(endpoint->host) || strncmp(endpoint->host, "fbv", 3) != 0))
		return fb_member_fail(node, "host", "must be the name of an interface, beginning with fbv");
	return 0;
}

static int read_endpoint(const struct fb_node *node, struct fb_endpoint *endpoint)
{
	static const char *const members[] = {"network", "kind", "link", "mode", "name", "host", "mac", "mtu", "addresses",
					      "gateways", "isolated", "napi", "guard", "leases", NULL};
	static const struct fb_word kinds[] = {
		{"veth", FB_LINK_VETH}, {"macvlan", FB_LINK_MACVLAN}, {"ipvlan", FB_LINK_IPVLAN}, {0}};
	uint64_t kind = FB_LINK_VETH;
	int r;

	endpoint->network = endpoint->mode = endpoint->host = "";
	if ((r = check_members(node, members)) < 0 || (r = fb_json_text(node, "network", &endpoint->network)) < 0 ||
	    (r = fb_json_word(node, "kind", kinds, "must be veth, macvlan or ipvlan", &kind)) < 0 ||
	    (r = read_name(node, "link", &endpoint->link)) < 0 || (r = fb_json_text(node, "mode", &endpoint->mode)) < 0 ||
	    (r = read_name(node, "name", &endpoint->name)) < 0 || (r = fb_json_text(node, "host", &endpoint->host)) < 0 ||
	    (r = read_hardware(node, endpoint)) < 0 || (r = fb_json_u32(node, "mtu", 65535, &endpoint->mtu)) < 0 ||
	    (r = read_address_list(node, "addresses", &endpoint->addresses, &endpoint->address_count)) < 0 ||
	    (r = read_gateways(node, endpoint)) < 0 || (r = fb_json_bool(node, "isolated", &endpoint->isolated)) < 0 ||
	    (r = fb_json_bool(node, "napi", &endpoint->napi)) < 0 || (r = fb_json_bool(node, "guard", &endpoint->guard)) < 0 ||
	    (r = read_leases(node, endpoint)) < 0)
		return r;
	endpoint->kind = (enum fb_link_kind)kind;
	return check_endpoint(node, endpoint);
}

static int read_endpoints(const struct fb_node *top, struct fb_network_spec *network)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(top, "endpoints", FB_NETWORK_ENDPOINTS, &array, &count);

	if (r <= 0)
		return r;
	network->endpoints = fb_node_alloc(&array, count + 1, sizeof(*network->endpoints));
	if (!network->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 || (r = read_endpoint(&item, &network->endpoints[i])) < 0)
			return r;
	network->endpoint_count = count;
	return 0;
}

static int read_u16(const struct fb_node *up, const char *key, uint16_t *ret_value)
{
	uint32_t value = 0;
	int r = fb_json_u32(up, key, 65535, &value);

	*ret_value = (uint16_t)value;
	return r;
}

static const struct fb_word protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}, {0}};

static int read_port(const struct fb_node *node, struct fb_port *port)
{
	static const char *const members[] = {"protocol", "hosts", "first", "last", "port", "address", "address6", NULL};
	uint64_t protocol = IPPROTO_TCP;
	int r;

	if ((r = check_members(node, members)) < 0 ||
	    (r = fb_json_word(node, "protocol", protocols, "must be tcp, udp or sctp", &protocol)) < 0 ||
	    (r = read_address_list(node, "hosts", &port->hosts, &port->host_count)) < 0 ||
	    (r = read_u16(node, "first", &port->first)) < 0 || (r = read_u16(node, "last", &port->last)) < 0 ||
	    (r = read_u16(node, "port", &port->port)) < 0 || (r = read_address(node, "address", AF_INET, &port->address)) < 0 ||
	    (r = read_address(node, "address6", AF_INET6, &port->address6)) < 0)
		return r;
	port->protocol = (int)protocol;
	if (!port->port)
		return fb_member_fail(node, "port", "is missing");
	if (port->last < port->first || (!port->first && port->last))
		return fb_member_fail(node, "last", "is before the first");
	port->sockets = fb_node_alloc(node, port->host_count + 1, sizeof(*port->sockets));
	for (size_t i = 0; port->sockets && i < port->host_count; i++)
		port->sockets[i] = -1;
	return port->sockets ? 0 : -ENOMEM;
}

static int read_ports(const struct fb_node *top, struct fb_network_spec *network)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(top, "ports", FB_NETWORK_PORTS, &array, &count);

	if (r <= 0)
		return r;
	network->ports = fb_node_alloc(&array, count + 1, sizeof(*network->ports));
	if (!network->ports)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if ((r = fb_json_item(&array, i, &item)) < 0 || (r = read_port(&item, &network->ports[i])) < 0)
			return r;
	network->port_count = count;
	return 0;
}

static int read_dns(const struct fb_node *top, struct fb_network_spec *network)
{
	struct fb_node node;
	int r = fb_json_object(top, "dns", &node);

	if (r <= 0)
		return r;
	network->dns.document =
		fb_arena_strdup(top->in->arena, json_object_to_json_string_ext(node.json, JSON_C_TO_STRING_PLAIN));
	network->dns.wanted = network->dns.document;
	return network->dns.wanted ? 0 : fb_node_fail(&node, "does not fit in memory");
}

static int read_top(const struct fb_node *top, struct fb_network_spec *network)
{
	static const char *const members[] = {"schema", "endpoints", "ports", "dns", "netd", NULL};
	uint32_t schema = 0;
	int r;

	if ((r = check_members(top, members)) < 0 || (r = fb_json_u32(top, "schema", UINT32_MAX, &schema)) < 0)
		return r;
	if (schema != 1)
		return fb_member_fail(top, "schema", "must be 1: written by another version of fastbox");
	if ((r = read_endpoints(top, network)) < 0 || (r = read_ports(top, network)) < 0 || (r = read_dns(top, network)) < 0 ||
	    (r = fb_json_strv(top, "netd", &network->netd)) < 0)
		return r;
	if (network->netd.count > 64 || (network->netd.count && network->netd.items[0][0] != '/'))
		return fb_member_fail(top, "netd", "must be an absolute path and its arguments");
	return 0;
}

static int read_one(const struct fb_node *top, struct fb_network_spec *network)
{
	network->endpoints = fb_node_alloc(top, 1, sizeof(*network->endpoints));
	network->endpoint_count = 1;
	return network->endpoints ? read_endpoint(top, network->endpoints) : -ENOMEM;
}

static int parse(const char *text, size_t length, int (*read)(const struct fb_node *top, struct fb_network_spec *network),
		 struct fb_network_spec *ret_network, struct fb_error *err)
{
	auto_json struct json_object *json = NULL;
	/* It stays as long as its container runs. */
	struct fb_network_spec network = {.arena.chunk = 2000};
	struct fb_reader reader = {.arena = &network.arena, .bundle = "", .err = err};
	struct fb_node top = {.in = &reader};
	int r = fb_json_parse(text, length, &json, err);

	top.json = json;
	if (r == 0)
		r = read(&top, &network);
	if (r < 0) {
		fb_network_free(&network);
		/* The readers are the bundle's: whose member it is has to be said. */
		if (err && err->stage == FB_STAGE_SPEC) {
			err->stage = FB_STAGE_NETWORK;
			snprintf(err->call, sizeof(err->call), "network.json");
		}
		return r;
	}
	*ret_network = network;
	return 0;
}

int fb_network_parse(const char *text, size_t length, struct fb_network_spec *ret_network, struct fb_error *err)
{
	return parse(text, length, read_top, ret_network, err);
}

int fb_network_parse_endpoint(const char *text, size_t length, struct fb_network_spec *ret_network, struct fb_error *err)
{
	return parse(text, length, read_one, ret_network, err);
}

int fb_network_load(const char *path, struct fb_network_spec *ret_network, struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	ssize_t length = fb_read_file(AT_FDCWD, path, FB_SPEC_MAX_BYTES, &text);

	if (length < 0)
		return FAIL((int)-length, path, length == -EINVAL ? "is not a regular file" : NULL);
	return fb_network_parse(text, (size_t)length, ret_network, err);
}

/* Written in the order of the ports and their addresses, and of those that were reserved only. */
static bool is_taken(const struct fb_port *port, const struct fb_address *host, struct json_object *taken, uint16_t *ret_number)
{
	struct json_object *protocol, *address, *number, *inner;
	struct fb_address shown;
	uint64_t value = 0;
	int64_t at;

	if (!json_object_object_get_ex(taken, "protocol", &protocol) || !json_object_object_get_ex(taken, "host", &address) ||
	    !json_object_object_get_ex(taken, "host_port", &number) || !json_object_object_get_ex(taken, "port", &inner))
		return false;
	if (!json_object_is_type(protocol, json_type_string) || !json_object_is_type(address, json_type_string) ||
	    !fb_word_find(protocols, json_object_get_string(protocol), &value) || (int)value != port->protocol ||
	    json_object_get_int64(inner) != port->port || !fb_address_read(json_object_get_string(address), &shown) ||
	    shown.family != host->family || memcmp(&shown.v4, &host->v4, host->family == AF_INET6 ? 16 : 4) != 0)
		return false;
	at = json_object_get_int64(number);
	*ret_number = (uint16_t)(at > 0 && at <= 65535 ? at : 0);
	return *ret_number != 0;
}

int fb_network_read_taken(struct fb_network_spec *network, const char *text, size_t length, struct fb_error *err)
{
	auto_json struct json_object *json = NULL;
	struct json_object *list;
	size_t count, next = 0;
	int r = fb_json_parse(text, length, &json, err);

	if (r < 0 || !json_object_object_get_ex(json, "ports", &list) || !json_object_is_type(list, json_type_array))
		return r;
	count = json_object_array_length(list);
	for (size_t i = 0; i < network->port_count; i++)
		for (size_t j = 0; j < network->ports[i].host_count && next < count; j++)
			if (is_taken(&network->ports[i], &network->ports[i].hosts[j], json_object_array_get_idx(list, next),
				     &network->ports[i].taken))
				next++;
	return 0;
}

void fb_network_free(struct fb_network_spec *network)
{
	fb_arena_free(&network->arena);
	memset(network, 0, sizeof(*network));
}
