#include "arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)32 * 1024)

struct fb_arena_chunk {
	struct fb_arena_chunk *next;
	size_t used, size;
	alignas(16) char data[];
};

static struct fb_arena_chunk *add_chunk(struct fb_arena *arena, size_t size)
{
	size_t least = arena->chunk ? arena->chunk : CHUNK_SIZE, room = size > least ? size : least;
	struct fb_arena_chunk *chunk = calloc(1, sizeof(*chunk) + room);

	if (!chunk)
		return NULL;
	chunk->size = room;
	chunk->next = arena->head;
	arena->head = chunk;
	return chunk;
}

void *fb_arena_alloc(struct fb_arena *arena, size_t size)
{
	struct fb_arena_chunk *chunk = arena->head;
	void *memory;

	if (size > (size_t)1 << 30) {
		errno = ENOMEM;
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = add_chunk(arena, size);
	if (!chunk)
		return NULL;
	memory = chunk->data + chunk->used;
	chunk->used += size;
	return memory;
}

char *fb_arena_strdup(struct fb_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = fb_arena_alloc(arena, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

char *fb_arena_printf(struct fb_arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0 || !(text = fb_arena_alloc(arena, (size_t)length + 1)))
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

void fb_arena_free(struct fb_arena *arena)
{
	while (arena->head) {
		struct fb_arena_chunk *next = arena->head->next;

		free(arena->head);
		arena->head = next;
	}
}
