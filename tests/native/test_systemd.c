/* What systemd is told: values in D-Bus's wire format, annotations and limits as properties. tests/peers/test_systemd.py asks a real one. */
#include <errno.h>
#include <string.h>

#include "cgroup_systemd.h"
#include "check.h"

static bool has(const struct fb_dbus_body *body, const void *what, size_t length)
{
	return memmem(body->data, body->length, what, length) != NULL;
}

#define HAS(body, text) has((body), (text), sizeof(text)) /* with its NUL */

static void test_values(void)
{
	static const char expected[] = "\1\0\0\0\2\0\0\0ab\0\0\0\0\0\0\7\0\0\0\0\0\0\0\10\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0";
	struct fb_dbus_body body = {0};
	size_t array;

	fb_dbus_byte(&body, 1);
	fb_dbus_text(&body, "ab");
	fb_dbus_u64(&body, 7);
	array = fb_dbus_open(&body, 8);
	fb_dbus_u64(&body, 3);
	fb_dbus_close(&body, array, 8);
	CHECK(!body.failed);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	CHECK(body.length == sizeof(expected) - 1 && memcmp(body.data, expected, body.length) == 0);
#endif
	fb_dbus_body_free(&body);
	/* The padding before the first element is not counted, and there is no element. */
	array = fb_dbus_open(&body, 8);
	fb_dbus_close(&body, array, 8);
	CHECK(body.length == 8 && memcmp(body.data, "\0\0\0\0\0\0\0\0", 8) == 0);
	fb_dbus_body_free(&body);
}

static int annotate(const char *key, const char *value, struct fb_dbus_body *body, struct fb_error *err)
{
	char *items[] = {(char *)(uintptr_t)key, (char *)(uintptr_t)value, NULL};
	struct fb_strv annotations = {items, 2};

	*err = (struct fb_error){0};
	*body = (struct fb_dbus_body){0};
	return fb_systemd_annotations(body, &annotations, err);
}

static void test_annotations(void)
{
	static const struct {
		const char *key, *value, *name, *type; /* name NULL: refused */
	} cases[] = {
		{"TimeoutStopSec", "7", "TimeoutStopUSec", "t"},	{"TimeoutStopUSec", "uint64 5", "TimeoutStopUSec", "t"},
		{"CollectMode", "'inactive'", "CollectMode", "s"},	{"After", "['a.service', \"b.service\"]", "After", "as"},
		{"After", "[]", "After", "as"},				{"SendSIGHUP", "true", "SendSIGHUP", "b"},
		{"Num", "-3", "Num", "i"},				{"Num", "byte 3", "Num", "y"},
		{"Num", "uint16 3", "Num", "q"},			{"Num", "int64 -3", "Num", "x"},
		{"Num", "uint32 -3", NULL, NULL},			{"Num", "", NULL, NULL},
		{"Num", "float 3", NULL, NULL},				{"Num", "3x", NULL, NULL},
		{"CollectMode", "'a", NULL, NULL},			{"CollectMode", "'a' b", NULL, NULL},
		{"After", "['a'", NULL, NULL},				{"After", "['a' 'b']", NULL, NULL},
		{"After", "['a'] x", NULL, NULL},			{"TimeoutStopSec", "'7'", NULL, NULL},
		{"TimeoutStopSec", "-7", NULL, NULL},			{"Description", "'mine'", NULL, NULL},
		{"Slice", "'a.slice'", NULL, NULL},			{"No", "1", NULL, NULL},
		{"With-Dash", "1", NULL, NULL},				{"TimeoutStopSec", "18446744073709551615", NULL, NULL},
	};
	struct fb_dbus_body body;
	struct fb_error err;
	char key[96];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int r;

		snprintf(key, sizeof(key), "org.systemd.property.%s", cases[i].key);
		r = annotate(key, cases[i].value, &body, &err);
		if ((r == 0) != (cases[i].name != NULL))
			fprintf(stderr, "%s=%s: %d\n", cases[i].key, cases[i].value, r);
		CHECK((r == 0) == (cases[i].name != NULL));
		CHECK(r == 0 || (r == -EINVAL && strcmp(err.path, key) == 0));
		if (cases[i].name) {
			CHECK(has(&body, cases[i].name, strlen(cases[i].name) + 1));
			CHECK(has(&body, cases[i].type, strlen(cases[i].type) + 1));
		}
		fb_dbus_body_free(&body);
	}
	CHECK(annotate("org.example.other", "anything", &body, &err) == 0 && body.length == 0);
}

static void test_limits(void)
{
	struct fb_resources limits = {.has_memory_limit = true, .memory_limit = 1 << 20, .has_memory_swap = true, .memory_swap = -1,
				      .has_pids = true, .pids = 5, .cpuset_cpus = "0-1,9"};
	struct fb_dbus_body body = {0};

	fb_systemd_limits(&body, FB_CGROUP_V2, &limits, NULL);
	CHECK(HAS(&body, "MemoryMax") && HAS(&body, "MemorySwapMax") && HAS(&body, "TasksMax") && HAS(&body, "AllowedCPUs"));
	CHECK(has(&body, "\2\0\0\0\3\2", 6) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__); /* cpus 0, 1 and 9 */
	CHECK(!HAS(&body, "MemoryLow") && !HAS(&body, "CPUWeight") && !HAS(&body, "DevicePolicy"));
	fb_dbus_body_free(&body);
	fb_systemd_limits(&body, FB_CGROUP_V1, &limits, NULL);
	CHECK(HAS(&body, "MemoryLimit") && !HAS(&body, "MemoryMax") && !HAS(&body, "AllowedCPUs"));
	fb_dbus_body_free(&body);
}

static void test_devices(void)
{
	const struct fb_device_rule rules[] = {
		{true, 'c', 7, 7, 7},  {false, 'a', -1, -1, 7}, {true, 'c', 1, 3, 7}, {true, 'b', 8, -1, 6},
		{true, 'c', 10, 1, 7}, {true, 'c', -1, 5, 7},	{false, 'c', 10, 1, 4}, {true, 'c', 20, 1, 4}, {false, 'c', 20, -1, 7},
	};
	struct fb_resources limits = {.devices = (struct fb_device_rule *)(uintptr_t)rules, .device_count = sizeof(rules) / sizeof(*rules)};
	struct fb_dbus_body body = {0};

	fb_systemd_limits(&body, FB_CGROUP_V1, &limits, NULL);
	CHECK(HAS(&body, "strict") && HAS(&body, "/dev/char/1:3") && HAS(&body, "block-8") && HAS(&body, "/dev/char/10:1"));
	CHECK(HAS(&body, "rwm") && HAS(&body, "wm") && HAS(&body, "rw"));
	/* Before all was denied; denied later; of every major number. */
	CHECK(!HAS(&body, "/dev/char/7:7") && !HAS(&body, "/dev/char/20:1") && !HAS(&body, "char-*"));
	fb_dbus_body_free(&body);
	limits.devices = (struct fb_device_rule[]){{true, 'a', -1, -1, 7}};
	limits.device_count = 1;
	fb_systemd_limits(&body, FB_CGROUP_V1, &limits, NULL);
	CHECK(HAS(&body, "auto") && !HAS(&body, "strict"));
	fb_dbus_body_free(&body);
}

int main(void)
{
	test_values();
	test_annotations();
	test_limits();
	test_devices();
	return failures ? 1 : 0;
}
