// As QEMU's coroutines: makecontext begins a fiber, and _setjmp and _longjmp, which make no system call, switch between them.
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "fibers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

struct slotstream_fiber {
    jmp_buf place;
    jmp_buf caller;
    void *stack;
    size_t stack_byte_count;
    slotstream_fiber_body body;
    void *context;
};

static slotstream_fiber *running;

// Of the Swift runtime.
extern bool _swift_disableExclusivityChecking;

void slotstream_fibers_begin(void) { _swift_disableExclusivityChecking = true; }

static void run(unsigned high, unsigned low) {
    slotstream_fiber *fiber = (slotstream_fiber *)(((uintptr_t)high << 32) | (uintptr_t)low);
    for (;;) {
        if (!_setjmp(fiber->place)) _longjmp(fiber->caller, 1);
        fiber->body(fiber->context);
        fiber->body = NULL;
    }
}

slotstream_fiber *slotstream_fiber_make(size_t stack_byte_count) {
    slotstream_fiber *fiber = calloc(1, sizeof *fiber);
    if (!fiber) return NULL;
    void *stack = mmap(NULL, stack_byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    // Below the stack: who runs over it is told so.
    mprotect(stack, 4096, PROT_NONE);
    fiber->stack = stack;
    fiber->stack_byte_count = stack_byte_count;
    ucontext_t context, here;
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = stack_byte_count;
    context.uc_link = NULL;
    uintptr_t address = (uintptr_t)fiber;
    makecontext(&context, (void (*)(void))run, 2, (unsigned)(address >> 32), (unsigned)address);
    if (!_setjmp(fiber->caller)) swapcontext(&here, &context);
    return fiber;
}

void slotstream_fiber_free(slotstream_fiber *fiber) {
    if (!fiber) return;
    munmap(fiber->stack, fiber->stack_byte_count);
    free(fiber);
}

void slotstream_fiber_give(slotstream_fiber *fiber, slotstream_fiber_body body, void *context) {
    fiber->body = body;
    fiber->context = context;
}

bool slotstream_fiber_resume(slotstream_fiber *fiber) {
    running = fiber;
    if (!_setjmp(fiber->caller)) _longjmp(fiber->place, 1);
    running = NULL;
    return fiber->body != NULL;
}

void slotstream_fiber_rest(void) {
    slotstream_fiber *fiber = running;
    if (!_setjmp(fiber->place)) _longjmp(fiber->caller, 1);
    running = fiber;
}

static volatile uint64_t current_seed;

static void trapped(int signal_number) {
    char text[64];
    int length = snprintf(text, sizeof text, "the program trapped (signal %d): seed %llu\n", signal_number, (unsigned long long)current_seed);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void slotstream_seed_is(uint64_t seed) {
    if (current_seed == 0) {
        signal(SIGILL, trapped);
        signal(SIGTRAP, trapped);
        signal(SIGSEGV, trapped);
    }
    current_seed = seed;
}
