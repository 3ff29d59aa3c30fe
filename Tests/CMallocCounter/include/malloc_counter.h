#ifndef SLOTSTREAM_MALLOC_COUNTER_H
#define SLOTSTREAM_MALLOC_COUNTER_H

#include <stdint.h>

/// Starts counting at 0: every call of malloc, calloc, realloc, posix_memalign, aligned_alloc and memalign, on every
/// thread of the process.
void malloc_counter_start(void);

/// Stops counting.
/// - Returns: The calls since `malloc_counter_start`.
uint64_t malloc_counter_stop(void);

/// The bytes that those calls asked for.
uint64_t malloc_counter_byte_count(void);

/// Allocates and frees one byte: a call that the compiler can neither see through nor remove.
void malloc_counter_allocate_once(void);

#endif
