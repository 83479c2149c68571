/* features: what this program understands (runtime specification, features.md), told from the tables that it reads with. It says nothing of
 * what the host can do. */
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "creds.h"
#include "oci_internal.h"
#include "words.h"

#define WORDS_MAX 128

struct words {
	const char *items[WORDS_MAX + 1];
	char made[32][32]; /* those that are no constants */
	size_t count, made_count;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_sorted(struct fb_json_out *json, const char *key, struct words *words)
{
	qsort(words->items, words->count, sizeof(words->items[0]), compare);
	fb_out_texts(json, key, words->items);
}

static void add(struct words *words, const char *word)
{
	if (words->count < WORDS_MAX)
		words->items[words->count++] = word;
}

static void put_mount_options(struct fb_json_out *json)
{
	struct words words = {0};
	bool recursive;
	const char *word;

	for (size_t i = 0; (word = fb_mount_word(i, &recursive)); i++) {
		add(&words, word);
		if (recursive && words.made_count < sizeof(words.made) / sizeof(words.made[0])) {
			char *made = words.made[words.made_count++];

			snprintf(made, sizeof(words.made[0]), "r%s", word);
			add(&words, made);
		}
	}
	put_sorted(json, "mountOptions", &words);
}

static void put_seccomp_words(struct fb_json_out *json, const char *key, enum fb_seccomp_words which)
{
	struct words words = {0};
	const char *word;

	for (size_t i = 0; (word = fb_seccomp_word(which, i)); i++)
		add(&words, word);
	put_sorted(json, key, &words);
}

static void put_enabled(struct fb_json_out *json, const char *key, bool enabled)
{
	fb_out_open(json, key, '{');
	fb_out_bool(json, "enabled", enabled);
	fb_out_close(json, '}');
}

static void put_cgroup(struct fb_json_out *json)
{
	fb_out_open(json, "cgroup", '{');
	fb_out_bool(json, "v1", true);
	fb_out_bool(json, "v2", true);
	fb_out_bool(json, "systemd", true);
	fb_out_bool(json, "systemdUser", true);
	fb_out_bool(json, "rdma", true);
	fb_out_close(json, '}');
}

static void put_seccomp(struct fb_json_out *json)
{
	fb_out_open(json, "seccomp", '{');
	fb_out_bool(json, "enabled", true);
	put_seccomp_words(json, "actions", FB_SECCOMP_ACTIONS);
	put_seccomp_words(json, "operators", FB_SECCOMP_OPERATORS);
	put_seccomp_words(json, "archs", FB_SECCOMP_ARCHITECTURES);
	put_seccomp_words(json, "knownFlags", FB_SECCOMP_FLAGS);
	put_seccomp_words(json, "supportedFlags", FB_SECCOMP_FLAGS);
	fb_out_close(json, '}');
}

static void put_linux(struct fb_json_out *json)
{
	struct words namespaces = {0}, capabilities = {0};
	const char *word;

	for (size_t i = 0; (word = fb_namespace_word(i)); i++)
		add(&namespaces, word);
	for (int i = 0; (word = fb_capability_name(i)); i++)
		add(&capabilities, word);
	fb_out_open(json, "linux", '{');
	put_sorted(json, "namespaces", &namespaces);
	fb_out_texts(json, "capabilities", capabilities.items);
	put_cgroup(json);
	put_seccomp(json);
	put_enabled(json, "apparmor", true);
	put_enabled(json, "selinux", true);
	put_enabled(json, "intelRdt", false);
	fb_out_open(json, "mountExtensions", '{');
	put_enabled(json, "idmap", true);
	fb_out_close(json, '}');
	fb_out_close(json, '}');
}

static void put_annotations(struct fb_json_out *json)
{
	const struct scmp_version *version = seccomp_version();
	char text[32] = "";

	if (version)
		snprintf(text, sizeof(text), "%u.%u.%u", version->major, version->minor, version->micro);
	fb_out_open(json, "annotations", '{');
	fb_out_text(json, "io.github.seccomp.libseccomp.version", text);
	fb_out_text(json, "org.opencontainers.runc.checkpoint.enabled", "false");
	fb_out_close(json, '}');
}

int fb_oci_features(const struct fb_oci *oci, int argc, char **argv)
{
	static const struct fb_oci_option none[] = {{.kind = FB_OCI_ANYWHERE}};
	struct fb_json_out json = {.out = stdout, .indent = "    "};
	struct fb_error err = {0};
	const char *word;
	int words;

	if (fb_oci_options(none, argc, argv, &words, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	if (words != argc)
		return fb_oci_die(oci, 1, "features takes no arguments");
	fb_out_open(&json, NULL, '{');
	fb_out_text(&json, "ociVersionMin", "1.0.0");
	fb_out_text(&json, "ociVersionMax", FB_OCI_VERSION);
	fb_out_open(&json, "hooks", '[');
	for (size_t i = 0; (word = fb_hook_word(i)); i++)
		fb_out_text(&json, NULL, word);
	fb_out_close(&json, ']');
	put_mount_options(&json);
	put_linux(&json);
	put_annotations(&json);
	fb_out_close(&json, '}');
	putchar('\n');
	return fb_out_end(oci, stdout);
}
