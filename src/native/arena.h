/* One growing block of memory for everything a spec or a plan points to: freed at once, never piece by piece. */
#ifndef FB_ARENA_H
#define FB_ARENA_H

#include <stddef.h>

struct fb_arena {
	struct fb_arena_chunk *head;
	size_t chunk; /* how much is taken at a time; 0: 32 KiB, right for what is freed soon */
};

/* Zeroed, 16-byte aligned memory, or NULL with errno ENOMEM. */
void *fb_arena_alloc(struct fb_arena *arena, size_t size);
char *fb_arena_strdup(struct fb_arena *arena, const char *text);
char *fb_arena_printf(struct fb_arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void fb_arena_free(struct fb_arena *arena);

#endif
