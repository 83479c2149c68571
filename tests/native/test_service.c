/* What netd does for containers, as the supervisor sees it: sockets in a real namespace, packets that wake it, a netd that is this program in
 * another role.
 * Skipped (77) without root. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "netns.h"
#include "launch.h"
#include "service.h"

#define ROLE "play-netd"
#define DOCUMENT "{\"networks\":[],\"servers\":[\"192.0.2.1\"]}"

static struct fb_supervisor sup;
static char base[] = "/tmp/fastbox-test-service-XXXXXX", journal[PATH_MAX];
static int host, inside; /* network namespaces */

/* --- netd's role: everything that is received goes to the journal, datagrams and connections are answered with "netd" --- */

static void note(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)!write(fd, text, strlen(text));
	close(fd);
}

static int receive(int conversation, const char *path, int *fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control;
	static char text[65536], line[65536 + 16];
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(conversation, &header, 0);
	struct cmsghdr *rights = n > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	int count = rights ? (int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	if (count)
		memcpy(fds, CMSG_DATA(rights), sizeof(int) * (size_t)count);
	snprintf(line, sizeof(line), "%d %s\n", count, text);
	note(path, line);
	return count;
}

static bool answer(int fd)
{
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	char data[512];
	int type, connection;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return false;
	if (type == SOCK_DGRAM)
		return recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &length) > 0 &&
		       sendto(fd, "netd", 4, 0, (struct sockaddr *)&from, length) == 4;
	connection = accept(fd, NULL, NULL);
	if (connection < 0)
		return false;
	(void)!write(connection, "netd", 4);
	close(connection);
	return true;
}

/* `mode`: "stay"; "once": end after an answer; "give": end the conversations after one. */
static int play_netd(const char *mode, const char *path)
{
	static struct pollfd all[2048];
	static int of[2048]; /* whose conversation: its index; itself: 0 */
	int count = 1, fds[253];
	char line[32];

	if (fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0 || fcntl(5, F_GETFD) >= 0)
		return 1;
	snprintf(line, sizeof(line), "started %d\n", (int)getpid());
	note(path, line);
	all[0] = (struct pollfd){.fd = 4, .events = POLLIN};
	alarm(20);
	for (;;) {
		(void)poll(all, (nfds_t)count, -1);
		for (int i = 0, now = count; i < now; i++) {
			if (all[i].fd < 0 || !all[i].revents)
				continue;
			if (i == 0) {
				all[count++] = (struct pollfd){.fd = accept(4, NULL, NULL), .events = POLLIN};
				of[count - 1] = 0;
			} else if (!of[i]) {
				int n = receive(all[i].fd, path, fds);

				for (int k = 0; k < n; k++) {
					of[count] = i;
					all[count++] = (struct pollfd){.fd = fds[k], .events = POLLIN};
				}
				for (int k = 0; k < count && n < 0; k++)
					if (k == i || of[k] == i) {
						close(all[k].fd);
						all[k].fd = -1;
					}
			} else if (answer(all[i].fd)) {
				if (strcmp(mode, "once") == 0)
					return 0;
				for (int k = 1, mine = of[i]; k < count && strcmp(mode, "give") == 0; k++)
					if (k == mine || of[k] == mine) {
						close(all[k].fd);
						all[k].fd = -1;
					}
			}
		}
	}
}

/* --- around the supervisor's side --- */

static void fill(struct fb_network_spec *spec, char **argv)
{
	*spec = (struct fb_network_spec){.dns = {true, DOCUMENT}, .netd.items = argv};
	while (argv[spec->netd.count])
		spec->netd.count++;
}

static char **netd(const char *mode)
{
	static char words[4][PATH_MAX], *argv[5];
	ssize_t n = readlink("/proc/self/exe", words[0], PATH_MAX - 1);

	words[0][n > 0 ? n : 0] = '\0';
	snprintf(words[1], PATH_MAX, ROLE);
	snprintf(words[2], PATH_MAX, "%s", mode);
	snprintf(words[3], PATH_MAX, "%s", journal);
	for (int i = 0; i < 4; i++)
		argv[i] = words[i];
	return argv;
}

/* A namespace with its loopback up. */
static int make_namespace(void)
{
	int fd;

	CHECK(unshare(CLONE_NEWNET) == 0);
	CHECK(system("ip link set lo up") == 0);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static void fresh_inside(void)
{
	if (inside > 0)
		close(inside);
	inside = make_namespace();
	CHECK(setns(host, CLONE_NEWNET) == 0);
}

/* Serve for at most `ms`, or until `fd` is readable. How many events there were, or -1 when it became readable. */
static int serve(int fd, int ms)
{
	uint64_t end = fb_now() + (uint64_t)ms * 1000000;
	int events = 0;

	while (fb_now() < end) {
		struct pollfd ready[2] = {{.fd = sup.epoll, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
		struct epoll_event event;

		(void)poll(ready, 2, 10);
		if (fd >= 0 && ready[1].revents)
			return -1;
		if (ready[0].revents && epoll_wait(sup.epoll, &event, 1, 0) == 1) {
			struct fb_source *source = event.data.ptr;

			source->ready(&sup, source, event.events);
			events++;
		}
	}
	return events;
}

static int client(int type)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f00000b)};
	int fd = fb_netns_socket(inside, AF_INET, type, NULL);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	return fd;
}

static bool answered(int fd)
{
	char data[16];
	bool is = serve(fd, 15000) == -1 && read(fd, data, sizeof(data)) == 4 && memcmp(data, "netd", 4) == 0;

	close(fd);
	return is;
}

static bool asked(void)
{
	int fd = client(SOCK_DGRAM);

	CHECK(send(fd, "?", 1, 0) == 1);
	return answered(fd);
}

static int count_in_journal(const char *text)
{
	static char data[1 << 20];
	int fd = open(journal, O_RDONLY), count = 0;
	ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof(data) - 1);

	if (fd >= 0)
		close(fd);
	data[n > 0 ? n : 0] = '\0';
	for (char *at = data; (at = strstr(at, text)); at++)
		count++;
	return count;
}

/* A netd sees the end of all conversations only after a while: the next test begins without it. */
static void end_netd(void)
{
	static char line[65536 + 16];
	FILE *found = fopen(journal, "re");

	while (found && fgets(line, sizeof(line), found))
		if (strncmp(line, "started ", 8) == 0)
			(void)kill(atoi(line + 8), SIGKILL);
	if (found)
		fclose(found);
	unlink(journal);
}

static int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static struct fb_container *container_of(const char *id)
{
	struct fb_container *container = calloc(1, sizeof(*container));

	snprintf(container->id, sizeof(container->id), "%s", id);
	return container;
}

static void test_asked_by_both(void)
{
	struct fb_container *container = container_of("a");
	struct fb_network_spec spec;
	int before = descriptors();

	fill(&spec, netd("stay"));
	CHECK(fb_service_open(&sup, container, &spec, inside, NULL) == 0);
	CHECK(descriptors() == before + 2); /* all that a container costs that asks nothing */
	CHECK(serve(-1, 50) == 0 && count_in_journal("started") == 0);
	CHECK(asked() && asked());
	CHECK(answered(client(SOCK_STREAM)));
	CHECK(count_in_journal("started") == 1);
	CHECK(count_in_journal("3 {\"dns\":" DOCUMENT ",\"relays\":[]}\n") == 1);
	/* Told anew, and no longer, and again. */
	spec.dns.document = "{\"networks\":[1]}";
	CHECK(fb_service_update(&sup, container, &spec, -1, NULL) == 0);
	CHECK(asked() && count_in_journal("0 {\"dns\":{\"networks\":[1]},\"relays\":[]}\n") == 1);
	spec.dns.wanted = false;
	CHECK(fb_service_update(&sup, container, &spec, -1, NULL) == 0);
	spec.dns = (struct fb_dns){true, "{\"networks\":[2]}"};
	fb_service_close(&sup, container);
	CHECK(descriptors() == before);
	fb_service_close(&sup, container);
	free(container);
	end_netd();
}

static void test_netd_ends(const char *mode, int started)
{
	struct fb_container *container = container_of("a");
	struct fb_network_spec spec;

	fill(&spec, netd(mode));
	CHECK(fb_service_open(&sup, container, &spec, inside, NULL) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(asked());
	CHECK(count_in_journal("started") == started);
	CHECK(count_in_journal("3 {\"dns\":") == 5);
	fb_service_close(&sup, container);
	free(container);
	end_netd();
}

/* Several at once start one. */
static void test_one_netd(void)
{
	struct fb_container *containers[8];
	struct fb_network_spec spec;
	int clients[8];

	fill(&spec, netd("stay"));
	for (int i = 0; i < 8; i++) {
		fresh_inside();
		containers[i] = container_of("a");
		CHECK(fb_service_open(&sup, containers[i], &spec, inside, NULL) == 0);
		clients[i] = client(SOCK_STREAM);
	}
	for (int i = 0; i < 8; i++)
		CHECK(answered(clients[i]));
	CHECK(count_in_journal("started") == 1 && count_in_journal("3 {\"dns\":") == 8);
	for (int i = 0; i < 8; i++) {
		fb_service_close(&sup, containers[i]);
		free(containers[i]);
	}
	end_netd();
}

static void test_netd_is_broken(void)
{
	static char *argv[] = {(char *)"/nonexistent/netd", NULL};
	struct fb_container *container = container_of("a");
	struct fb_network_spec spec;
	int fd, events;

	fill(&spec, argv);
	CHECK(fb_service_open(&sup, container, &spec, inside, NULL) == 0);
	fd = client(SOCK_DGRAM);
	CHECK(send(fd, "?", 1, 0) == 1);
	events = serve(fd, 1000);
	CHECK(events > 3 && events < 60); /* it tries again, at ever longer intervals */
	fb_service_close(&sup, container);
	/* What waits is answered once it is mended. */
	fill(&spec, netd("stay"));
	CHECK(fb_service_open(&sup, container, &spec, inside, NULL) == 0);
	close(fd);
	CHECK(asked());
	fb_service_close(&sup, container);
	free(container);
	end_netd();
}

#define RELAYS 150

static void test_relays(void)
{
	static struct fb_address hosts[RELAYS];
	static int sockets[RELAYS];
	struct fb_port port = {.protocol = IPPROTO_TCP, .hosts = hosts, .host_count = RELAYS, .port = 80, .sockets = sockets,
			       .address = {.family = AF_INET, .v4.s_addr = htonl(0x0a000002)}};
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct fb_container *container = container_of("a");
	struct fb_network_spec spec;
	socklen_t length = sizeof(address);
	int before = descriptors(), fd;

	fill(&spec, netd("stay"));
	spec.dns = (struct fb_dns){0};
	spec.ports = &port;
	spec.port_count = 1;
	for (int i = 0; i < RELAYS; i++) {
		hosts[i] = (struct fb_address){.family = AF_INET6, .v6 = IN6ADDR_LOOPBACK_INIT};
		sockets[i] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(bind(sockets[i], (struct sockaddr *)&address, sizeof(address)) == 0);
	}
	CHECK(fb_service_open(&sup, container, &spec, -1, NULL) == 0);
	for (int i = 0; i < RELAYS; i += 149) { /* the first, and one that is told in the last message */
		CHECK(getsockname(sockets[i], (struct sockaddr *)&address, &length) == 0);
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
		CHECK(answered(fd));
	}
	CHECK(count_in_journal("64 {\"dns\":null,\"relays\":[{\"protocol\":\"tcp\",\"address\":\"10.0.0.2\",\"port\":80},") == 1);
	CHECK(count_in_journal("64 {\"relays\":[") == 1 && count_in_journal("22 {\"relays\":[") == 1);
	CHECK(count_in_journal("started") == 1);
	fb_service_close(&sup, container);
	free(container);
	for (int i = 0; i < RELAYS; i++)
		close(sockets[i]);
	CHECK(descriptors() == before);
	end_netd();
}

static void test_nothing_and_errors(void)
{
	struct fb_container *container = container_of("a");
	struct fb_network_spec spec;
	struct fb_error err = {0};
	int before = descriptors(), file = open("/dev/null", O_RDONLY);
	char *long_document = malloc(40000);

	memset(long_document, ' ', 40000);
	long_document[39999] = '\0';
	fill(&spec, netd("stay"));
	spec.dns.wanted = false;
	CHECK(fb_service_open(&sup, container, &spec, -1, NULL) == 0 && !container->service);
	spec.dns.wanted = true;
	CHECK(fb_service_open(&sup, container, &spec, file, &err) == -EINVAL && !container->service);
	CHECK(strcmp(err.call, "setns") == 0);
	spec.dns.document = long_document;
	CHECK(fb_service_open(&sup, container, &spec, inside, &err) == -EMSGSIZE && !container->service);
	close(file);
	free(long_document);
	CHECK(descriptors() == before);
	free(container);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc == 6 && strcmp(argv[1], ROLE) == 0)
		return play_netd(argv[2], argv[3]);
	if (geteuid() != 0)
		return 77;
	CHECK(mkdtemp(base));
	snprintf(journal, sizeof(journal), "%s/journal", base);
	sup.run = base;
	sup.epoll = epoll_create1(EPOLL_CLOEXEC);
	host = make_namespace();
	fresh_inside();
	test_asked_by_both();
	fresh_inside();
	test_netd_ends("once", 5);
	fresh_inside();
	test_netd_ends("give", 1);
	test_one_netd();
	fresh_inside();
	test_netd_is_broken();
	test_relays();
	test_nothing_and_errors();
	snprintf(path, sizeof(path), "%s/netd/sock", base);
	unlink(path);
	snprintf(path, sizeof(path), "%s/netd", base);
	CHECK(rmdir(path) == 0 && rmdir(base) == 0);
	if (!failures)
		puts("service: ok");
	return failures ? 1 : 0;
}
