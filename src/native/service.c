#include "service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "launch.h"
#include "netd.h"
#include "netns.h"
#include "nft.h"
#include "ports.h"

#define NAME_SERVER 0x7f00000b /* 127.0.0.11 */
#define BACKLOG 512
#define RECEIVE_BYTES (1 << 20) /* what may wait while netd starts: some 2,000 questions; no memory until it does */
#define FIRST_DELAY_MS 10
#define REACH_DELAY_MS 1000 /* the longest, between two tries to reach netd */
#define BROKEN_DELAY_MS 30000 /* the same, when it ends as soon as it is reached */
#define SHORT_NS 1000000000ULL /* a conversation that lasted less has failed */
#define RELAYS_A_MESSAGE 64
#define FAIL(call, path) FB_FAIL(err, FB_STAGE_NETWORK, (call), (path))

struct relay {
	struct fb_source source;
	struct fb_service *service;
	int protocol;
	uint16_t port;
	char address[INET6_ADDRSTRLEN];
};

struct fb_service {
	struct fb_source udp, tcp, conversation, timer;
	char *document; /* NULL: no name server */
	char **netd;
	struct relay *relays;
	size_t relay_count;
	unsigned delay_ms; /* before the sockets are watched again after a failure */
	uint64_t began;	   /* the conversation; ns */
	bool told;	   /* netd has the name server's sockets */
};

static void wake(struct fb_supervisor *sup, struct fb_service *service);

static void udp_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	wake(sup, FB_CONTAINER_OF(source, struct fb_service, udp));
}

static void tcp_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	wake(sup, FB_CONTAINER_OF(source, struct fb_service, tcp));
}

static void relay_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	wake(sup, FB_CONTAINER_OF(source, struct relay, source)->service);
}

static int watch(struct fb_supervisor *sup, struct fb_service *service)
{
	int r = 0;

	if (service->udp.fd >= 0)
		r = fb_source_watch(sup, &service->udp, EPOLLIN);
	if (r == 0 && service->tcp.fd >= 0)
		r = fb_source_watch(sup, &service->tcp, EPOLLIN);
	for (size_t i = 0; i < service->relay_count && r == 0; i++)
		r = fb_source_watch(sup, &service->relays[i].source, EPOLLIN);
	return r;
}

static void unwatch(struct fb_supervisor *sup, struct fb_service *service)
{
	fb_source_unwatch(sup, &service->udp);
	fb_source_unwatch(sup, &service->tcp);
	for (size_t i = 0; i < service->relay_count; i++)
		fb_source_unwatch(sup, &service->relays[i].source);
}

/* Nobody reads the sockets: look again after a while, and a longer one each time that it fails. What has arrived waits in them. */
static void later(struct fb_supervisor *sup, struct fb_service *service, unsigned most)
{
	unsigned delay = service->delay_ms ? service->delay_ms * 2 : FIRST_DELAY_MS;

	service->delay_ms = delay < most ? delay : most;
	if (fb_source_timer(sup, &service->timer, service->delay_ms / 1e3) < 0)
		(void)watch(sup, service);
}

static void timer_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	(void)events;
	fb_source_close(sup, source);
	(void)watch(sup, FB_CONTAINER_OF(source, struct fb_service, timer));
}

/* The end of the conversation is all that netd ever says. */
static void conversation_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events)
{
	struct fb_service *service = FB_CONTAINER_OF(source, struct fb_service, conversation);

	(void)events;
	fb_source_close(sup, source);
	service->told = false;
	if (fb_now() - service->began < SHORT_NS) {
		later(sup, service, BROKEN_DELAY_MS);
		return;
	}
	service->delay_ms = 0;
	(void)watch(sup, service);
}

struct message {
	char text[FB_CONTROL_MAX_MESSAGE];
	size_t length;
	int fds[3 + RELAYS_A_MESSAGE];
	size_t fd_count;
};

__attribute__((format(printf, 2, 3))) static void add(struct message *message, const char *format, ...)
{
	size_t left = sizeof(message->text) - message->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(message->text + message->length, left, format, args);
	va_end(args);
	message->length += (size_t)n < left ? (size_t)n : left;
}

static int send_message(int fd, const struct message *message, struct fb_error *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(message->fds))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)message->text, .iov_len = message->length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (message->length >= sizeof(message->text))
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EMSGSIZE, "sendmsg", "netd", "too much to tell");
	if (message->fd_count) {
		struct cmsghdr *rights = (struct cmsghdr *)(void *)control.bytes;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * message->fd_count);
		*rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
					   .cmsg_len = CMSG_LEN(sizeof(int) * message->fd_count)};
		memcpy(CMSG_DATA(rights), message->fds, sizeof(int) * message->fd_count);
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? FAIL("sendmsg", "netd") : 0;
}

/* The kernel knows the namespace of a socket, whatever its container has become meanwhile. Returns a descriptor of it. */
static int namespace_of(const struct fb_service *service, struct fb_error *err)
{
	int fd = ioctl(service->udp.fd, SIOCGSKNS);

	if (fd < 0)
		return FAIL("ioctl(SIOCGSKNS)", NULL);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static int tell_dns(struct fb_service *service, struct message *message, int *network_namespace, struct fb_error *err)
{
	add(message, "\"dns\":%s", service->document ? service->document : "null");
	if (!service->document || service->told)
		return 0;
	*network_namespace = namespace_of(service, err);
	if (*network_namespace < 0)
		return *network_namespace;
	message->fds[message->fd_count++] = *network_namespace;
	message->fds[message->fd_count++] = service->udp.fd;
	message->fds[message->fd_count++] = service->tcp.fd;
	return 0;
}

/* The name server first, and as many relays as a message takes, beginning with `from`. */
static int tell(struct fb_service *service, bool dns, size_t from, struct fb_error *err)
{
	fb_auto_close int network_namespace = -1;
	fb_auto_free struct message *message = malloc(sizeof(*message));
	int r = 0;

	if (!message)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", NULL, NULL);
	message->length = message->fd_count = 0;
	add(message, "{");
	if (dns)
		r = tell_dns(service, message, &network_namespace, err);
	if (r < 0)
		return r;
	add(message, "%s\"relays\":[", dns ? "," : "");
	for (size_t i = from; i < service->relay_count && i < from + RELAYS_A_MESSAGE; i++) {
		const struct relay *relay = &service->relays[i];

		add(message, "%s{\"protocol\":\"%s\",\"address\":\"%s\",\"port\":%u}", i == from ? "" : ",",
		    relay->protocol == IPPROTO_UDP ? "udp" : "tcp", relay->address, relay->port);
		message->fds[message->fd_count++] = relay->source.fd;
	}
	add(message, "]}");
	r = send_message(service->conversation.fd, message, err);
	if (r == 0 && dns)
		service->told = service->document != NULL;
	return r;
}

static int hand_over(struct fb_supervisor *sup, struct fb_service *service, struct fb_error *err)
{
	int r = service->conversation.fd = fb_netd_reach(sup->run, service->netd, err);

	if (r < 0) {
		service->conversation.fd = -1;
		return r;
	}
	service->began = fb_now();
	service->told = false;
	r = tell(service, true, 0, err);
	for (size_t at = RELAYS_A_MESSAGE; at < service->relay_count && r == 0; at += RELAYS_A_MESSAGE)
		r = tell(service, false, at, err);
	if (r == 0 && fb_source_watch(sup, &service->conversation, EPOLLIN) < 0)
		r = FAIL("epoll_ctl", NULL);
	return r;
}

static void wake(struct fb_supervisor *sup, struct fb_service *service)
{
	struct fb_error err = {0};

	unwatch(sup, service);
	if (hand_over(sup, service, &err) == 0)
		return;
	fb_source_close(sup, &service->conversation);
	later(sup, service, REACH_DELAY_MS);
}

static int bind_name_server(int fd, uint16_t *ret_port, struct fb_error *err)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(NAME_SERVER)};
	socklen_t length = sizeof(address);

	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return FAIL("bind", "127.0.0.11");
	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return FAIL("getsockname", "127.0.0.11");
	*ret_port = ntohs(address.sin_port);
	return 0;
}

/* In the container's namespace. */
static int make_name_server(int *ret_udp, int *ret_tcp, struct fb_error *err)
{
	fb_auto_close int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fb_auto_close int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint16_t udp_port, tcp_port;
	int bytes = RECEIVE_BYTES, r;

	if (udp < 0 || tcp < 0)
		return FAIL("socket", "127.0.0.11");
	/* Without the right to more, it is what the host's limit says. */
	if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if ((r = bind_name_server(udp, &udp_port, err)) < 0 || (r = bind_name_server(tcp, &tcp_port, err)) < 0)
		return r;
	if (listen(tcp, BACKLOG) < 0)
		return FAIL("listen", "127.0.0.11");
	r = fb_nft_redirect(udp_port, tcp_port, err);
	if (r < 0)
		return r;
	*ret_udp = fb_steal_fd(&udp);
	*ret_tcp = fb_steal_fd(&tcp);
	return 0;
}

static int open_name_server(struct fb_service *service, int network_namespace, struct fb_error *err)
{
	struct fb_netns_visit visit = {-1};
	int r = fb_netns_enter(&visit, network_namespace, err);

	if (r < 0)
		return r;
	r = make_name_server(&service->udp.fd, &service->tcp.fd, err);
	fb_netns_leave(&visit);
	return r;
}

static bool is_relayed(const struct fb_port *port, size_t host)
{
	return port->sockets && port->sockets[host] >= 0 && fb_port_relayed(port, host);
}

static int copy_relay(struct fb_service *service, const struct fb_port *port, size_t host, struct fb_error *err)
{
	struct relay *relay = &service->relays[service->relay_count];
	const struct fb_address *target = port->address.family ? &port->address : &port->address6;
	int fd = fcntl(port->sockets[host], F_DUPFD_CLOEXEC, 6);

	if (fd < 0)
		return FAIL("fcntl", NULL);
	*relay = (struct relay){.source = {.fd = fd, .ready = relay_ready}, .service = service, .protocol = port->protocol,
				.port = port->port};
	service->relay_count++;
	inet_ntop(target->family, &target->v6, relay->address, sizeof(relay->address));
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return FAIL("fcntl", NULL);
	if (port->protocol == IPPROTO_TCP && listen(fd, BACKLOG) < 0)
		return FAIL("listen", NULL);
	return 0;
}

static size_t count_relays(const struct fb_network_spec *spec)
{
	size_t count = 0;

	for (size_t i = 0; i < spec->port_count; i++)
		for (size_t host = 0; host < spec->ports[i].host_count; host++)
			count += is_relayed(&spec->ports[i], host);
	return count;
}

static int open_relays(struct fb_service *service, const struct fb_network_spec *spec, size_t count, struct fb_error *err)
{
	int r = 0;

	service->relays = count ? calloc(count, sizeof(*service->relays)) : NULL;
	if (count && !service->relays)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", NULL, NULL);
	for (size_t i = 0; i < spec->port_count; i++)
		for (size_t host = 0; host < spec->ports[i].host_count && r == 0; host++)
			if (is_relayed(&spec->ports[i], host))
				r = copy_relay(service, &spec->ports[i], host, err);
	return r;
}

static int copy_text(const char *text, char **ret_copy, struct fb_error *err)
{
	char *copy = strdup(text);

	if (!copy)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", NULL, NULL);
	free(*ret_copy);
	*ret_copy = copy;
	return 0;
}

static int copy_netd(struct fb_service *service, const struct fb_strv *argv, struct fb_error *err)
{
	int r = 0;

	service->netd = calloc(argv->count + 1, sizeof(*service->netd));
	if (!service->netd)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", NULL, NULL);
	for (size_t i = 0; i < argv->count && r == 0; i++)
		r = copy_text(argv->items[i], &service->netd[i], err);
	return r;
}

static struct fb_service *new_service(struct fb_container *container)
{
	struct fb_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->udp = (struct fb_source){.fd = -1, .ready = udp_ready};
	service->tcp = (struct fb_source){.fd = -1, .ready = tcp_ready};
	service->conversation = (struct fb_source){.fd = -1, .ready = conversation_ready};
	service->timer = (struct fb_source){.fd = -1, .ready = timer_ready};
	container->service = service;
	return service;
}

static int add_name_server(struct fb_service *service, const struct fb_dns *dns, int network_namespace, struct fb_error *err)
{
	const char *document = dns->document ? dns->document : "{}";
	int r = 0;

	if (strlen(document) > FB_CONTROL_MAX_MESSAGE / 2)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EMSGSIZE, "network.json", "dns", "more than 32 KiB");
	if (service->udp.fd < 0)
		r = open_name_server(service, network_namespace, err);
	return r == 0 ? copy_text(document, &service->document, err) : r;
}

int fb_service_open(struct fb_supervisor *sup, struct fb_container *container, const struct fb_network_spec *spec, int network_namespace,
		    struct fb_error *err)
{
	size_t relays = count_relays(spec);
	struct fb_service *service;
	int r;

	fb_service_close(sup, container);
	if (!spec->dns.wanted && !relays)
		return 0;
	service = new_service(container);
	if (!service)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", NULL, NULL);
	r = copy_netd(service, &spec->netd, err);
	if (r == 0)
		r = open_relays(service, spec, relays, err);
	if (r == 0 && spec->dns.wanted)
		r = add_name_server(service, &spec->dns, network_namespace, err);
	if (r == 0 && watch(sup, service) < 0)
		r = FAIL("epoll_ctl", NULL);
	if (r < 0)
		fb_service_close(sup, container);
	return r;
}

int fb_service_update(struct fb_supervisor *sup, struct fb_container *container, const struct fb_network_spec *spec, int network_namespace,
		      struct fb_error *err)
{
	struct fb_service *service = container->service;
	int r = 0;

	if (!service)
		return fb_service_open(sup, container, spec, network_namespace, err);
	if (spec->dns.wanted) {
		r = add_name_server(service, &spec->dns, network_namespace, err);
	} else {
		free(service->document);
		service->document = NULL;
		fb_source_close(sup, &service->udp);
		fb_source_close(sup, &service->tcp);
	}
	if (r < 0)
		return r;
	if (service->conversation.fd < 0)
		return service->timer.fd < 0 && watch(sup, service) < 0 ? FAIL("epoll_ctl", NULL) : 0;
	/* One that does not take it is told everything anew. */
	if (tell(service, true, service->relay_count, NULL) < 0)
		(void)shutdown(service->conversation.fd, SHUT_RDWR);
	return 0;
}

void fb_service_close(struct fb_supervisor *sup, struct fb_container *container)
{
	struct fb_service *service = container->service;

	if (!service)
		return;
	container->service = NULL;
	fb_source_close(sup, &service->conversation);
	fb_source_close(sup, &service->timer);
	fb_source_close(sup, &service->udp);
	fb_source_close(sup, &service->tcp);
	for (size_t i = 0; i < service->relay_count; i++)
		fb_source_close(sup, &service->relays[i].source);
	for (size_t i = 0; service->netd && service->netd[i]; i++)
		free(service->netd[i]);
	free(service->netd);
	free(service->relays);
	free(service->document);
	free(service);
}
