#include "malloc_counter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

// The executable's own definitions come before the C library's for every object in the process, the Swift runtime
// included. What they call is glibc's real allocator, so that its free takes what they return.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_bool is_counting;
static atomic_uint_fast64_t call_count, byte_count;

static inline void count(size_t size) {
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&call_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&byte_count, size, memory_order_relaxed);
    }
}

void malloc_counter_start(void) {
    atomic_store(&call_count, 0);
    atomic_store(&byte_count, 0);
    atomic_store(&is_counting, true);
}

uint64_t malloc_counter_stop(void) {
    atomic_store(&is_counting, false);
    return atomic_load(&call_count);
}

uint64_t malloc_counter_byte_count(void) { return atomic_load(&byte_count); }

void malloc_counter_allocate_once(void) {
    void *volatile pointer = malloc(1);
    free(pointer);
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *pointer, size_t size) {
    count(size);
    return __libc_realloc(pointer, size);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) { return EINVAL; }
    count(size);
    void *pointer = __libc_memalign(alignment, size);
    if (pointer == NULL) { return ENOMEM; }
    *result = pointer;
    return 0;
}
