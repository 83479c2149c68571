#include "exec_spec.h"

#include <malloc.h>
#include <string.h>

#include "exec_group.h"
#include "supervise.h"

/* Make the slot the first one. */
static void move_up(struct fb_exec_specs *specs, size_t index)
{
	struct fb_exec_spec slot = specs->slots[index];

	memmove(specs->slots + 1, specs->slots, index * sizeof(slot));
	specs->slots[0] = slot;
}

static int load(const struct fb_container *container, struct fb_exec_spec *ret_slot, struct fb_error *err)
{
	struct fb_exec_spec slot = {.of = container};
	int r = fb_spec_load(container->bundle, &slot.spec, err);

	if (r == 0 && slot.spec.seccomp)
		r = fb_seccomp_compile(slot.spec.seccomp, slot.spec.engine.seccomp_cache, &slot.spec.arena, &slot.filter, err);
	if (r < 0)
		fb_spec_free(&slot.spec);
	else
		*ret_slot = slot;
	return r;
}

int fb_exec_spec_get(struct fb_supervisor *sup, const struct fb_container *container, struct fb_exec_spec *room,
		     const struct fb_exec_spec **ret_spec, struct fb_error *err)
{
	struct fb_exec_specs *specs = &sup->exec_specs;
	size_t i = 0;
	int r;

	while (i < FB_EXEC_SPECS - 1 && specs->slots[i].of && specs->slots[i].of != container)
		i++;
	if (sup->tied && specs->slots[i].of != container) {
		struct fb_exec_spec slot;

		r = load(container, &slot, err);
		if (r < 0)
			return r;
		(void)fb_exec_group_drop(&specs->slots[i].group);
		fb_spec_free(&specs->slots[i].spec);
		specs->slots[i] = slot;
	}
	if (sup->tied) {
		move_up(specs, i);
		*ret_spec = &specs->slots[0];
		/* The parser left a megabyte of free memory, whose tables every exec's clone would copy. Not at once: there may be no second exec, and
		 * the next start would have to get it again. */
		if (++specs->slots[0].uses == 2)
			malloc_trim(0);
		return 0;
	}
	r = load(container, room, err);
	*ret_spec = room;
	return r;
}

struct fb_exec_group *fb_exec_spec_group(struct fb_supervisor *sup, const struct fb_container *container)
{
	for (size_t i = 0; i < FB_EXEC_SPECS; i++)
		if (sup->exec_specs.slots[i].of == container)
			return &sup->exec_specs.slots[i].group;
	return NULL;
}

void fb_exec_spec_forget(struct fb_supervisor *sup, const struct fb_container *container)
{
	for (size_t i = 0; i < FB_EXEC_SPECS; i++) {
		struct fb_exec_spec *slot = &sup->exec_specs.slots[i];

		if (slot->of != container)
			continue;
		(void)fb_exec_group_drop(&slot->group);
		fb_spec_free(&slot->spec);
		memmove(slot, slot + 1, (FB_EXEC_SPECS - 1 - i) * sizeof(*slot));
		sup->exec_specs.slots[FB_EXEC_SPECS - 1] = (struct fb_exec_spec){0};
		return;
	}
}
