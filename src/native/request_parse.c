#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"
#include "request.h"

#define MAX_DEPTH 8
#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_REQUEST, (code), "request", (path), (detail))

enum member {
	M_OP = 1, M_ID = 2, M_BUNDLE = 4, M_STREAMS = 8, M_ROWS = 16, M_COLS = 32, M_CLOCKS = 64, M_TIED = 128,
	M_DETACH = 256, M_EXEC = 512, M_SIGNAL = 1024, M_TIMEOUT = 2048, M_NAME = 4096, M_FROZEN = 8192,
	M_PAUSED = 16384, M_RESTART = 32768, M_MOST = 65536,
	M_QUIET = 1 << 17, M_RESOURCES = 1 << 20, M_ENDPOINT = 1 << 21, M_DNS = 1 << 22,
};

static const struct operation {
	const char *name;
	unsigned needs, may; /* members besides "op" */
} operations[FB_OP_COUNT] = {
	[FB_OP_LAUNCH] = {"launch", M_ID | M_BUNDLE, M_STREAMS | M_ROWS | M_COLS | M_CLOCKS | M_TIED},
	[FB_OP_EXEC] = {"exec", M_ID, M_STREAMS | M_ROWS | M_COLS | M_CLOCKS | M_DETACH | M_TIED | M_TIMEOUT | M_QUIET},
	[FB_OP_ATTACH] = {"attach", M_ID, M_STREAMS},
	[FB_OP_RESIZE] = {"resize", M_ID | M_ROWS | M_COLS, M_EXEC},
	[FB_OP_KILL] = {"kill", M_ID | M_SIGNAL, M_EXEC},
	[FB_OP_STOP] = {"stop", M_ID | M_SIGNAL | M_TIMEOUT, 0},
	[FB_OP_WAIT] = {"wait", M_ID, 0},
	[FB_OP_SYNC] = {"sync", 0, 0},
	[FB_OP_CLOSE] = {"close", 0, 0},
	[FB_OP_DISCARD] = {"discard", M_ID | M_BUNDLE, M_NAME},
	[FB_OP_FREEZE] = {"freeze", M_ID | M_FROZEN, 0},
	[FB_OP_LEASE] = {"lease", 0, 0},
	[FB_OP_PAUSE] = {"pause", M_ID | M_PAUSED, 0},
	[FB_OP_RESTART] = {"restart", M_ID | M_SIGNAL | M_TIMEOUT, 0},
	[FB_OP_POLICY] = {"policy", M_ID | M_RESTART | M_MOST, 0},
	[FB_OP_UPDATE] = {"update", M_ID | M_RESOURCES, 0},
	[FB_OP_CONNECT] = {"connect", M_ID | M_ENDPOINT, M_DNS},
	[FB_OP_DISCONNECT] = {"disconnect", M_ID | M_NAME, M_DNS},
	[FB_OP_DNS] = {"dns", M_ID | M_DNS, 0},
};

static int parse_streams(struct json_object *value, const int *fds, size_t fd_count, struct fb_request *request,
			 struct fb_error *err)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};
	struct stat st;
	size_t count;

	if (!json_object_is_type(value, json_type_array) || (count = json_object_array_length(value)) > 3)
		return FAIL(EINVAL, "streams", "not a list of streams");
	for (size_t i = 0; i < count; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(value, i));
		int stream = 0;

		while (stream < 3 && (!name || strcmp(name, names[stream]) != 0))
			stream++;
		if (stream == 3 || request->streams[stream] >= 0)
			return FAIL(EINVAL, "streams", "unknown or double stream");
		if (i >= fd_count)
			return FAIL(EINVAL, "streams", "a stream without a descriptor");
		/* A file or a socket of the host is never inside a container. */
		if (fstat(fds[i], &st) < 0 || !S_ISFIFO(st.st_mode))
			return FAIL(EINVAL, "streams", "not a pipe");
		request->streams[stream] = fds[i];
	}
	request->stream_count = (int)count;
	return 0;
}

struct field { /* where a member goes; exactly one of these is not NULL */
	const char *name;
	enum member member;
	const char **text;
	int *number;
	int least, most;
	bool *flag;
	double *real;
};

static int parse_value(const struct field *field, struct json_object *value, struct fb_error *err)
{
	enum json_type type = json_object_get_type(value);

	if (field->text) {
		const char *text = json_object_get_string(value);

		/* A NUL inside would make two readers see two names. */
		if (type != json_type_string || strlen(text) != (size_t)json_object_get_string_len(value))
			return FAIL(EINVAL, field->name, "not a text");
		*field->text = text;
	} else if (field->number) {
		int64_t number = json_object_get_int64(value);

		if (type != json_type_int || number < field->least || number > field->most)
			return FAIL(EINVAL, field->name, "not a number in range");
		*field->number = (int)number;
	} else if (field->flag) {
		if (type != json_type_boolean)
			return FAIL(EINVAL, field->name, "not true or false");
		*field->flag = json_object_get_boolean(value);
	} else {
		*field->real = json_object_get_double(value);
		if ((type != json_type_int && type != json_type_double) || !isfinite(*field->real) ||
		    *field->real > 1e9)
			return FAIL(EINVAL, field->name, "not a number of seconds");
	}
	return 0;
}

/* Handed on as a text; the tree owns it. */
static int parse_document(const char *key, struct json_object *value, enum member member, const char **ret_text,
			  struct fb_request *request, struct fb_error *err)
{
	if (!json_object_is_type(value, json_type_object))
		return FAIL(EINVAL, key, "not an object");
	request->present |= member;
	*ret_text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	return *ret_text ? 0 : FAIL(ENOMEM, key, NULL);
}

static int parse_member(const char *key, struct json_object *value, struct fb_request *request,
			struct fb_error *err)
{
	const struct field fields[] = {
		{.name = "op", .member = M_OP, .text = &request->op},
		{.name = "id", .member = M_ID, .text = &request->id},
		{.name = "bundle", .member = M_BUNDLE, .text = &request->bundle},
		{.name = "name", .member = M_NAME, .text = &request->name},
		{.name = "exec", .member = M_EXEC, .text = &request->exec},
		{.name = "rows", .member = M_ROWS, .number = &request->rows, .most = USHRT_MAX},
		{.name = "cols", .member = M_COLS, .number = &request->columns, .most = USHRT_MAX},
		{.name = "signal", .member = M_SIGNAL, .number = &request->signal, .most = 64},
		{.name = "tied", .member = M_TIED, .flag = &request->tied},
		{.name = "detach", .member = M_DETACH, .flag = &request->detach},
		{.name = "quiet", .member = M_QUIET, .flag = &request->quiet},
		{.name = "frozen", .member = M_FROZEN, .flag = &request->frozen},
		{.name = "paused", .member = M_PAUSED, .flag = &request->paused},
		{.name = "restart", .member = M_RESTART, .text = &request->policy},
		{.name = "most", .member = M_MOST, .number = &request->most, .most = INT_MAX},
		{.name = "clocks", .member = M_CLOCKS, .flag = &request->timed},
		{.name = "timeout", .member = M_TIMEOUT, .real = &request->timeout},
	};

	if (strcmp(key, "streams") == 0) {
		request->present |= M_STREAMS;
		return 0;
	}
	if (strcmp(key, "resources") == 0)
		return parse_document(key, value, M_RESOURCES, &request->resources, request, err);
	if (strcmp(key, "endpoint") == 0)
		return parse_document(key, value, M_ENDPOINT, &request->endpoint, request, err);
	if (strcmp(key, "dns") == 0) {
		request->dns_given = true;
		request->present |= M_DNS;
		return value ? parse_document(key, value, M_DNS, &request->dns, request, err) : 0;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(key, fields[i].name) == 0) {
			request->present |= fields[i].member;
			return parse_value(&fields[i], value, err);
		}
	return FAIL(EINVAL, key, "unknown member");
}

static int check_members(struct fb_request *request, struct fb_error *err)
{
	unsigned given = request->present & ~(unsigned)M_OP;
	const struct operation *operation;
	int op = 0;

	while (op < FB_OP_COUNT && (!request->op || strcmp(request->op, operations[op].name) != 0))
		op++;
	if (op == FB_OP_COUNT)
		return FAIL(EINVAL, request->op, "unknown operation");
	request->operation = op;
	operation = &operations[op];
	if ((given & operation->needs) != operation->needs)
		return FAIL(EINVAL, request->op, "a member is missing");
	if (given & ~(operation->needs | operation->may))
		return FAIL(EINVAL, request->op, "a member of another operation");
	if (request->id && !fb_record_id_valid(request->id))
		return FAIL(EINVAL, request->id, "not an id");
	if (request->bundle && request->bundle[0] != '/')
		return FAIL(EINVAL, request->op, "a path that is not absolute");
	return 0;
}

static int parse_root(const char *text, size_t length, struct fb_request *request, struct fb_error *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	int r = 0;

	if (!tokener)
		return FAIL(ENOMEM, NULL, NULL);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	request->root = json_tokener_parse_ex(tokener, text, (int)length);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != length ||
	    !json_object_is_type(request->root, json_type_object))
		r = FAIL(EINVAL, NULL, "not one JSON object");
	json_tokener_free(tokener);
	return r;
}

static int place_descriptors(struct fb_request *request, int *fds, size_t fd_count, struct fb_error *err)
{
	struct json_object *streams;
	size_t used = 0;
	int r;

	if (request->text && request->operation != FB_OP_EXEC)
		return FAIL(EINVAL, request->op, "a document of another operation");
	if (request->operation == FB_OP_EXEC && !request->text) {
		if (fd_count < 1)
			return FAIL(EINVAL, "exec", "no process document");
		request->document = fds[used++];
	}
	if (json_object_object_get_ex(request->root, "streams", &streams)) {
		r = parse_streams(streams, fds + used, fd_count - used, request, err);
		if (r < 0)
			return r;
		used += (size_t)request->stream_count;
	}
	return used == fd_count ? 0 : FAIL(EINVAL, request->op, "more descriptors than streams");
}

int fb_request_parse(const char *text, size_t length, int *fds, size_t fd_count, struct fb_request *ret_request,
		     struct fb_error *err)
{
	struct fb_request request = {.streams = {-1, -1, -1}, .document = -1};
	const char *nul = memchr(text, '\0', length);
	int r = parse_root(text, nul ? (size_t)(nul - text) : length, &request, err);

	if (nul) {
		request.text = nul + 1;
		request.text_length = length - (size_t)(request.text - text);
	}

	if (r == 0) {
		json_object_object_foreach(request.root, key, value)
		{
			if (r == 0)
				r = parse_member(key, value, &request, err);
		}
	}
	if (r == 0)
		r = check_members(&request, err);
	if (r == 0)
		r = place_descriptors(&request, fds, fd_count, err);
	if (r < 0) {
		json_object_put(request.root);
		for (size_t i = 0; i < fd_count; i++)
			close(fds[i]);
		return r;
	}
	*ret_request = request;
	return 0;
}

void fb_request_free(struct fb_request *request)
{
	for (int i = 0; i < 3; i++)
		if (request->streams[i] >= 0)
			close(request->streams[i]);
	if (request->document >= 0)
		close(request->document);
	json_object_put(request->root);
}
