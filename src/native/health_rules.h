/* What a container's health is after each probe, and when to probe next. Docker's rules, without a clock or a process. */
#ifndef FB_HEALTH_RULES_H
#define FB_HEALTH_RULES_H

#include <stddef.h>
#include <stdint.h>

enum fb_health_status { FB_HEALTH_STARTING, FB_HEALTH_HEALTHY, FB_HEALTH_UNHEALTHY };

struct fb_health_spec { /* nanoseconds; 0: docker's default */
	const char *document; /* of a probe, as exec takes it; NULL: nobody asks */
	uint64_t interval, timeout, start_period, start_interval;
	uint32_t retries;
};

struct fb_health_state {
	enum fb_health_status status;
	unsigned streak; /* failures since the last success, without those of the start period */
};

const char *fb_health_name(enum fb_health_status status);
/* Put in what was left out. */
void fb_health_defaults(struct fb_health_spec *spec);
/* A probe that began `since` nanoseconds after the container has ended with `code`. */
void fb_health_result(struct fb_health_state *state, const struct fb_health_spec *spec, int code, uint64_t since);
/* Nanoseconds from `since` after the container's start to the next probe. */
uint64_t fb_health_next(const struct fb_health_state *state, const struct fb_health_spec *spec, uint64_t since);
/* As docker writes durations: 300ms, 1.5s, 1m30s, 2h0m0s. */
void fb_health_duration(uint64_t nanoseconds, char *text, size_t size);

#endif
