/* restart_policy.c and health_rules.c: when to start again, and what a probe means. */
#include <string.h>

#include "check.h"
#include "health_rules.h"
#include "restart_policy.h"

#define SECOND 1000000000ULL

static void test_back_off(void)
{
	struct fb_restart always = {.policy = FB_RESTART_ALWAYS};
	int expected = 100;

	for (int i = 0; i < 12; i++) {
		CHECK(fb_restart_after(&always, 0, SECOND) == expected);
		expected = expected * 2 > 60000 ? 60000 : expected * 2;
	}
	CHECK(always.count == 12);
	/* One that ran for ten seconds begins anew; its count goes on. */
	CHECK(fb_restart_after(&always, 1, 10 * SECOND) == 100);
	CHECK(fb_restart_after(&always, 1, 10 * SECOND - 1) == 200);
	CHECK(always.count == 14);
}

static void test_policies(void)
{
	struct fb_restart no = {0}, three = {.policy = FB_RESTART_ON_FAILURE, .most = 3},
			  failure = {.policy = FB_RESTART_ON_FAILURE}, unless = {.policy = FB_RESTART_UNLESS_STOPPED};

	CHECK(fb_restart_after(&no, 1, 0) == -1 && no.count == 0);
	CHECK(fb_restart_after(&failure, 0, 0) == -1);
	CHECK(fb_restart_after(&failure, 137, 0) == 100);
	CHECK(fb_restart_after(&unless, 0, 0) == 100);
	CHECK(fb_restart_after(&three, 1, 0) == 100);
	CHECK(fb_restart_after(&three, 1, 0) == 200);
	CHECK(fb_restart_after(&three, 1, 0) == 400);
	CHECK(fb_restart_after(&three, 1, 0) == -1);
	CHECK(three.count == 3);
}

static void test_names(void)
{
	enum fb_restart_policy policy;

	CHECK(fb_restart_policy_of("unless-stopped", &policy) && policy == FB_RESTART_UNLESS_STOPPED);
	CHECK(fb_restart_policy_of("no", &policy) && policy == FB_RESTART_NO);
	CHECK(!fb_restart_policy_of("", &policy) && !fb_restart_policy_of("Always", &policy));
}

static void test_health(void)
{
	struct fb_health_spec spec = {.document = "/x", .retries = 2, .start_period = 10 * SECOND, .interval = SECOND,
				      .start_interval = SECOND / 2};
	struct fb_health_state state = {0};

	fb_health_defaults(&spec);
	CHECK(spec.timeout == 30 * SECOND && spec.interval == SECOND && spec.retries == 2);
	CHECK(fb_health_next(&state, &spec, 0) == SECOND / 2);
	CHECK(fb_health_next(&state, &spec, 10 * SECOND) == SECOND);
	/* Failures of the start period don't count, until it was healthy once. */
	for (int i = 0; i < 5; i++)
		fb_health_result(&state, &spec, 1, SECOND);
	CHECK(state.status == FB_HEALTH_STARTING && state.streak == 0);
	fb_health_result(&state, &spec, 0, SECOND);
	CHECK(state.status == FB_HEALTH_HEALTHY);
	CHECK(fb_health_next(&state, &spec, SECOND) == SECOND);
	fb_health_result(&state, &spec, -1, SECOND);
	CHECK(state.status == FB_HEALTH_HEALTHY && state.streak == 1);
	fb_health_result(&state, &spec, 2, SECOND);
	CHECK(state.status == FB_HEALTH_UNHEALTHY && state.streak == 2);
	fb_health_result(&state, &spec, 2, SECOND);
	CHECK(state.streak == 3);
	fb_health_result(&state, &spec, 0, SECOND);
	CHECK(state.status == FB_HEALTH_HEALTHY && state.streak == 0);
	CHECK(strcmp(fb_health_name(state.status), "healthy") == 0);
}

static void test_after_the_start_period(void)
{
	struct fb_health_spec spec = {.document = "/x"};
	struct fb_health_state state = {0};

	fb_health_defaults(&spec);
	CHECK(spec.interval == 30 * SECOND && spec.start_interval == 5 * SECOND && spec.retries == 3);
	for (unsigned i = 1; i <= 3; i++) {
		CHECK(state.status == FB_HEALTH_STARTING);
		fb_health_result(&state, &spec, 1, i * SECOND);
		CHECK(state.streak == i);
	}
	CHECK(state.status == FB_HEALTH_UNHEALTHY);
}

static void check_duration(uint64_t nanoseconds, const char *expected)
{
	char text[32];

	fb_health_duration(nanoseconds, text, sizeof(text));
	CHECK(strcmp(text, expected) == 0);
}

static void test_durations(void)
{
	check_duration(0, "0s");
	check_duration(1, "1ns");
	check_duration(1500, "1.5us");
	check_duration(300000000, "300ms");
	check_duration(1050000000, "1.05s");
	check_duration(30 * SECOND, "30s");
	check_duration(90 * SECOND, "1m30s");
	check_duration(3600 * SECOND, "1h0m0s");
	check_duration(3661 * SECOND + 500000000, "1h1m1.5s");
}

int main(void)
{
	test_back_off();
	test_policies();
	test_names();
	test_health();
	test_after_the_start_period();
	test_durations();
	return failures ? 1 : 0;
}
