/* A container whose processes stand still: paused, or while a client reads its files. */
#ifndef FB_FREEZE_H
#define FB_FREEZE_H

#include "supervise.h"

/* The container stands still from here on, for as long as the conversation lasts. EBUSY: it does
 * already. */
int fb_freeze(struct fb_container *container, struct fb_conversation *conversation,
	      struct fb_error *err);
/* It goes on. EPERM: another conversation has stopped it. */
int fb_thaw(struct fb_container *container, struct fb_conversation *conversation,
	    struct fb_error *err);
/* The container stands still until it is let go on, whoever asks; a client that freezes and thaws it meanwhile changes nothing. EALREADY:
 * there is nothing to do. */
int fb_pause(struct fb_supervisor *sup, struct fb_container *container, bool paused, struct fb_error *err);
/* Whoever stopped it: it is to die, and v1 keeps the frozen from dying. */
void fb_thaw_to_die(struct fb_container *container);
/* The conversation is over: what it stopped goes on. */
void fb_thaw_all(struct fb_supervisor *sup, struct fb_conversation *conversation);

#endif
