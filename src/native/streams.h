/* Output from a task to its log and its clients, input from its clients to the task. */
#ifndef FB_STREAMS_H
#define FB_STREAMS_H

#include "supervise.h"

/* Begin to read a task's output from `fd`, which is taken over and made non-blocking. */
int fb_output_start(struct fb_supervisor *sup, struct fb_output *output, int fd);
/* The task is reaped: what is left in its pipes is read, whether clients keep up or not. */
void fb_output_drain(struct fb_supervisor *sup, struct fb_output *output);
/* A log's socket takes more. */
void fb_log_ready(struct fb_supervisor *sup, struct fb_source *source, uint32_t events);
/* No more is read; taps close when they have delivered what they hold. */
void fb_output_end(struct fb_supervisor *sup, struct fb_output *output);

/* Copy what is read from now on to `fd`, a pipe that is taken over. */
int fb_tap_add(struct fb_supervisor *sup, struct fb_conversation *conversation, struct fb_output *output, int fd);
void fb_tap_drop(struct fb_supervisor *sup, struct fb_tap *tap);

/* Carry `fd`, a pipe that is taken over, to `to`, of which a copy is made. */
int fb_input_add(struct fb_supervisor *sup, struct fb_conversation *conversation, int fd, int to);
void fb_input_drop(struct fb_supervisor *sup, struct fb_input *input);

#endif
