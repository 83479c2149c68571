#include "health_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ULL
#define DEFAULT_SECONDS 30
#define DEFAULT_START_SECONDS 5
#define DEFAULT_RETRIES 3

const char *fb_health_name(enum fb_health_status status)
{
	static const char *const names[] = {"starting", "healthy", "unhealthy"};

	return names[status];
}

void fb_health_defaults(struct fb_health_spec *spec)
{
	if (!spec->interval)
		spec->interval = DEFAULT_SECONDS * SECOND;
	if (!spec->timeout)
		spec->timeout = DEFAULT_SECONDS * SECOND;
	if (!spec->start_interval)
		spec->start_interval = DEFAULT_START_SECONDS * SECOND;
	if (!spec->retries)
		spec->retries = DEFAULT_RETRIES;
}

void fb_health_result(struct fb_health_state *state, const struct fb_health_spec *spec, int code, uint64_t since)
{
	if (code == 0) {
		*state = (struct fb_health_state){.status = FB_HEALTH_HEALTHY};
		return;
	}
	/* One that was never healthy has its start period to become so. */
	if (state->status == FB_HEALTH_STARTING && since < spec->start_period)
		return;
	if (++state->streak >= spec->retries)
		state->status = FB_HEALTH_UNHEALTHY;
}

uint64_t fb_health_next(const struct fb_health_state *state, const struct fb_health_spec *spec, uint64_t since)
{
	return state->status == FB_HEALTH_STARTING && since < spec->start_period ? spec->start_interval
										   : spec->interval;
}

/* Digits after a decimal point, without zeros at the end. */
static void put_decimal(uint64_t value, uint64_t unit, const char *name, char *text, size_t size)
{
	uint64_t rest = value % unit;
	char digits[32] = "";
	size_t length;

	if (rest) {
		/* The 1 in front keeps the zeros, and makes room for the point. */
		snprintf(digits, sizeof(digits), "%" PRIu64, unit + rest);
		digits[0] = '.';
		length = strlen(digits);
		while (digits[length - 1] == '0')
			digits[--length] = '\0';
	}
	snprintf(text, size, "%" PRIu64 "%s%s", value / unit, digits, name);
}

void fb_health_duration(uint64_t nanoseconds, char *text, size_t size)
{
	uint64_t minutes = nanoseconds / (60 * SECOND);
	int n = 0;

	if (nanoseconds && nanoseconds < SECOND) {
		uint64_t unit = nanoseconds < 1000 ? 1 : nanoseconds < 1000000 ? 1000 : 1000000;

		put_decimal(nanoseconds, unit, unit == 1 ? "ns" : unit == 1000 ? "us" : "ms", text, size);
		return;
	}
	if (minutes >= 60)
		n = snprintf(text, size, "%" PRIu64 "h%" PRIu64 "m", minutes / 60, minutes % 60);
	else if (minutes)
		n = snprintf(text, size, "%" PRIu64 "m", minutes);
	if (n >= 0 && (size_t)n < size)
		put_decimal(nanoseconds % (60 * SECOND), SECOND, "s", text + n, size - (size_t)n);
}
