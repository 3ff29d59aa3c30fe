#ifndef SLOTSTREAM_FIBERS_H
#define SLOTSTREAM_FIBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A second line of execution in one thread, with a stack of its own: it runs until it rests, and goes on when it is resumed.
typedef struct slotstream_fiber slotstream_fiber;

/// Runs on the fiber's stack whenever it is given something to do; returns when that is done.
typedef void (*slotstream_fiber_body)(void *context);

/// Makes one that has nothing to do. NULL: no memory.
slotstream_fiber *slotstream_fiber_make(size_t stack_byte_count);

/// Frees one that has nothing to do.
void slotstream_fiber_free(slotstream_fiber *fiber);

/// Gives it something to do, which begins when it is resumed.
void slotstream_fiber_give(slotstream_fiber *fiber, slotstream_fiber_body body, void *context);

/// Goes on with it until it rests or is done. Not from a fiber.
/// Returns whether it is not done yet.
bool slotstream_fiber_resume(slotstream_fiber *fiber);

/// Leaves the fiber that runs now, until it is resumed.
void slotstream_fiber_rest(void);

/// Switches off the run-time checks for exclusive access, which keep a list of the accesses of a thread and do not know of fibers.
void slotstream_fibers_begin(void);

/// What a trap of the program's, which ends the process, tells before.
void slotstream_seed_is(uint64_t seed);

#endif
