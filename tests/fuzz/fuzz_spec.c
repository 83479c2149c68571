/* From a document's bytes to validated data: config.json, an exec's document, a process, resources, and the filter that the
 * configuration asks for. The first byte of the input picks the parser. Whatever is refused is refused in words.
 */
#include "arena.h"
#include "fuzz.h"
#include "seccomp.h"
#include "spec.h"

enum kind { CONFIG, EXEC, PROCESS, RESOURCES, KINDS };

static void check(int r, const struct fb_error *err)
{
	stop_unless(r >= 0 || (err->code == -r && err->detail[0]));
	for (const char *c = err->path; *c; c++)
		stop_unless(*c >= ' ' && *c < 0x7f);
	for (const char *c = err->detail; *c; c++)
		stop_unless(*c >= ' ' && *c < 0x7f);
}

static void config(const char *text, size_t length)
{
	struct fb_error err = {0}, filter_err = {0};
	struct fb_seccomp_program program;
	struct fb_arena arena = {0};
	struct fb_spec spec;
	int r = fb_spec_parse(text, length, "/bundle", &spec, &err);

	check(r, &err);
	if (r < 0)
		return;
	if (spec.seccomp)
		(void)fb_seccomp_compile(spec.seccomp, NULL, &arena, &program, &filter_err);
	fb_arena_free(&arena);
	fb_spec_free(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct fb_process_spec process;
	struct fb_resources resources;
	struct fb_arena arena = {0};
	struct fb_error err = {0};
	bool privileged;
	int r = 0;

	if (size == 0)
		return 0;
	switch (data[0] % KINDS) {
	case CONFIG:
		config(text, size - 1);
		break;
	case EXEC:
		r = fb_spec_parse_exec(text, size - 1, &arena, &process, &privileged, &err);
		break;
	case PROCESS:
		r = fb_spec_parse_process(text, size - 1, &arena, &process, &err);
		break;
	default:
		r = fb_spec_parse_resources(text, size - 1, &arena, &resources, &err);
	}
	check(r, &err);
	fb_arena_free(&arena);
	return 0;
}

#ifdef FUZZ_STANDALONE

static void add_seed(enum kind kind, const char *text)
{
	struct make *m = &seeds[seed_count++];
	uint8_t first = (uint8_t)kind;

	mk_bytes(m, &first, 1);
	mk_bytes(m, text, strlen(text));
}

/* The whole configuration comes as a file: see `make fuzz`. */
void fuzz_begin(void)
{
	static const char process[] =
		"{\"terminal\":false,\"user\":{\"uid\":1,\"gid\":2,\"umask\":18,\"additionalGids\":[3,4]},\"args\":[\"a\",\"b\"],\"env\":[\"A=1\"],"
		"\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[]},\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":1,\"soft\":0}],"
		"\"oomScoreAdj\":5,\"noNewPrivileges\":true}";
	static const char resources[] =
		"{\"memory\":{\"limit\":9,\"swap\":-1},\"cpu\":{\"cpus\":\"0-3\",\"quota\":-1},\"pids\":{\"limit\":3},\"devices\":[{\"allow\":true,"
		"\"type\":\"c\",\"major\":1,\"access\":\"rwm\"}],\"unified\":{\"memory.high\":\"9\"},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":1}]}";
	static const char config_text[] =
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},\"mounts\":[{\"destination\":\"/p\","
		"\"type\":\"proc\",\"options\":[\"ro\",\"x=y\"]}],\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\",\"path\":\"/x\"}],"
		"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"],\"syscalls\":[{\"names\":[\"socket\","
		"\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"args\":[{\"index\":0,\"value\":2,\"valueTwo\":3,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}}}";
	char exec[sizeof(process) + 64];

	snprintf(exec, sizeof(exec), "{\"process\":%s,\"user\":\"u:g\",\"groups\":[\"g\"]}", process);
	add_seed(CONFIG, config_text);
	add_seed(EXEC, exec);
	add_seed(PROCESS, process);
	add_seed(RESOURCES, resources);
}

const struct make *fuzz_seed(void)
{
	return &seeds[random_below((uint64_t)seed_count)];
}

/* Where a value, a name or a bracket begins, at or after some random place. */
static size_t place_in(const struct make *m)
{
	size_t at = 1 + random_below(m->length - 1);

	while (at < m->length && !strchr("[{,:\"}]", m->data[at]))
		at++;
	return at < m->length ? at : m->length - 1;
}

static void replace(struct make *m, size_t at, size_t cut, const char *insert, size_t length)
{
	struct make out = {0};

	cut = cut > m->length - at ? m->length - at : cut;
	mk_bytes(&out, m->data, at);
	mk_bytes(&out, insert, length);
	mk_bytes(&out, m->data + at + cut, m->length - at - cut);
	mk_free(m);
	*m = out;
}

void fuzz_mutate(struct make *m)
{
	static const char *const words[] = {
		"null", "true", "{}", "[]", "-1", "0", "1e9", "0.5", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
		"\"\"", "\"/\"", "\"..\"", "\"\\u0000\"", "\"\\ud800\"", "\"\xff\"", "\"\\n\"", "[[[[[[[[", "{\"a\":{\"a\":{\"a\":", ",", ":", "]", "}",
		"\"SCMP_ACT_NOTIFY\"", "\"SCMP_ACT_KILL\"", "4294967295", "4294967296", "340", "/*", "NaN",
	};

	for (uint64_t changes = 1 + random_below(4); changes--;) {
		size_t at = place_in(m), from = place_in(m), span = from > at ? from - at : 1 + random_below(8);
		const char *word = words[random_below(sizeof(words) / sizeof(words[0]))];
		char *copy;

		switch (random_below(6)) {
		case 0:
			m->data[1 + random_below(m->length - 1)] ^= (uint8_t)(1u << random_below(8));
			break;
		case 1: /* another value */
			for (span = 0; at + span < m->length && !strchr(",}]", m->data[at + span]);)
				span++;
			replace(m, at, span, word, strlen(word));
			break;
		case 2:
			replace(m, at, 0, word, strlen(word));
			break;
		case 3: /* left out */
			replace(m, at, span % 200, "", 0);
			break;
		case 4: /* a part of it once more */
			copy = strndup((char *)m->data + at, span > m->length - at ? m->length - at : span);
			replace(m, from, 0, copy, strlen(copy));
			free(copy);
			break;
		default:
			if (random_below(20) == 0)
				m->length = 2 + random_below(m->length - 1);
		}
		if (m->length < 3)
			return;
	}
}

void fuzz_end(void)
{
}

#endif
