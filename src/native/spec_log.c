#include "spec_json.h"

#include <string.h>

static int read_file(const struct fb_node *node, struct fb_log_spec *log)
{
	uint32_t files = 1;
	int r;

	if ((r = fb_json_uint(node, "max_size", INT64_MAX, &log->max_size)) < 0 ||
	    (r = fb_json_u32(node, "max_file", 1000, &files)) < 0 || (r = fb_json_strv(node, "pack", &log->pack)) < 0)
		return r;
	if (log->pack.count && log->pack.items[0][0] != '/')
		return fb_member_fail(node, "pack", "must begin with an absolute path");
	if (!log->path)
		return fb_member_fail(node, "path", "is missing");
	if (!files)
		return fb_member_fail(node, "max_file", "must be above zero");
	log->max_file = files;
	return 0;
}

static int read_peer(const struct fb_node *node, struct fb_log_spec *log)
{
	static const struct fb_word protocols[] = {{"unix", 1}, {"unixgram", 2}, {"udp", 3}, {"tcp", 4}, {0}};
	static const struct fb_word formats[] = {{"rfc3164", FB_LOG_FORMAT_RFC3164},
						 {"rfc5424", FB_LOG_FORMAT_RFC5424},
						 {"rfc5424micro", FB_LOG_FORMAT_RFC5424_MICRO},
						 {0}};
	uint64_t protocol = 0, format = FB_LOG_FORMAT_UNIX;
	uint32_t port = 0, facility = 3;
	int r;

	if ((r = fb_json_word(node, "protocol", protocols, "must be unix, unixgram, udp or tcp", &protocol)) < 0 ||
	    (r = fb_json_word(node, "format", formats, "must be rfc3164, rfc5424 or rfc5424micro", &format)) < 0 ||
	    (r = fb_json_u32(node, "port", 65535, &port)) < 0 ||
	    (r = fb_json_u32(node, "facility", 23, &facility)) < 0 ||
	    (r = fb_json_string(node, "address", &log->address)) < 0 ||
	    (r = fb_json_string(node, "tag", &log->tag)) < 0)
		return r;
	if (!log->path && (!log->address || !port))
		return fb_member_fail(node, "path", "or address and port are missing");
	log->protocol = protocol ? protocols[protocol - 1].name : NULL;
	log->format = (enum fb_log_format)format;
	log->port = port;
	log->facility = facility;
	return 0;
}

/* A file in the form of `local`. */
static int read_cache(const struct fb_node *up, struct fb_log_spec *log)
{
	struct fb_node node;
	int r = fb_json_object(up, "cache", &node);

	if (r <= 0)
		return r;
	log->cache = fb_node_alloc(&node, 1, sizeof(*log->cache));
	if (!log->cache)
		return -ENOMEM;
	*log->cache = (struct fb_log_spec){.driver = FB_LOG_LOCAL};
	if ((r = fb_json_string(&node, "path", &log->cache->path)) < 0)
		return r;
	if (log->cache->path && log->cache->path[0] != '/')
		return fb_member_fail(&node, "path", "must be an absolute path");
	return read_file(&node, log->cache);
}

int fb_spec_read_log(const struct fb_node *up, struct fb_log_spec *log)
{
	static const struct fb_word drivers[] = {{"json-file", FB_LOG_JSON}, {"local", FB_LOG_LOCAL},
						 {"journald", FB_LOG_JOURNALD}, {"syslog", FB_LOG_SYSLOG}, {0}};
	uint64_t driver = FB_LOG_JSON;
	struct fb_node node;
	int r = fb_json_object(up, "log", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_word(&node, "driver", drivers, "must be json-file, local, journald or syslog", &driver)) < 0 ||
	    (r = fb_json_string(&node, "path", &log->path)) < 0 ||
	    (r = fb_json_uint(&node, "buffer", INT64_MAX, &log->buffer)) < 0 ||
	    (r = fb_json_pairs(&node, "attrs", &log->attrs)) < 0)
		return r;
	if (log->path && log->path[0] != '/')
		return fb_member_fail(&node, "path", "must be an absolute path");
	log->driver = (enum fb_log_driver)driver;
	if (driver == FB_LOG_JSON || driver == FB_LOG_LOCAL)
		return read_file(&node, log);
	r = read_peer(&node, log);
	return r < 0 ? r : read_cache(&node, log);
}
