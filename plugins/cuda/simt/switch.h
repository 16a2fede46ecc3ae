/* Stacks, and switching from one to another: the machine's part of fiber.cc. */
#ifndef ORCD_CUDA_SIMT_SWITCH_H
#define ORCD_CUDA_SIMT_SWITCH_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_ASAN 1
#endif
#endif
#ifndef SIMT_ASAN
#define SIMT_ASAN 0
#endif

/* With shadow stacks (-fcf-protection=return) only the C library knows how. */
#if defined(__x86_64__) && !(defined(__CET__) && (__CET__ & 2)) && !defined(SIMT_UCONTEXT)
#define SIMT_SWITCH_ASM 1
#else
#define SIMT_SWITCH_ASM 0
#include <ucontext.h>
#endif

#if SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt
{
namespace detail
{

struct stack {
    unsigned char *map; /* the guard page first */
    size_t map_bytes;
    unsigned char *bottom; /* lowest usable byte */
    unsigned char *top;    /* where the first frame goes, coloured */
    unsigned valgrind_id;
};

struct context {
#if SIMT_SWITCH_ASM
    void *sp;
#else
    ucontext_t saved;
    void (*run)(void *);
    void *argument;
#endif
    const void *bottom; /* of its stack; NULL: not known yet */
    size_t bytes;
    void *fake; /* AddressSanitizer's own */
};

/* NULL when there is no memory. `number` colours: neighbours start at different cache sets. */
struct stack *stack_new(unsigned number);
void stack_free(struct stack *s);
/* What was on it will not be returned to. */
void stack_abandoned(struct stack *s);

/* `to` will call run(argument) on `s`; run never returns. */
void context_init(struct context *to, struct stack *s, void (*run)(void *), void *argument);
/* First thing in run(): `main` is the context that a launch comes from. */
void context_entered(struct context *main);

#if SIMT_SWITCH_ASM
extern "C" void simt_switch_stacks(void **save, void *to);
#endif

/* Goes to `to`; returns when something switches to `from`. ends: it never will. */
inline void context_switch(context *from, context *to, bool ends)
{
#if SIMT_ASAN
    __sanitizer_start_switch_fiber(ends ? nullptr : &from->fake, to->bottom, to->bytes);
#else
    (void)ends;
#endif
#if SIMT_SWITCH_ASM
    void *nowhere;
    simt_switch_stacks(from ? &from->sp : &nowhere, to->sp);
#else
    if (from)
        swapcontext(&from->saved, &to->saved);
    else
        setcontext(&to->saved);
#endif
#if SIMT_ASAN
    __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

inline void poison(const void *p, size_t bytes)
{
#if SIMT_ASAN
    __asan_poison_memory_region(p, bytes);
#else
    (void)p;
    (void)bytes;
#endif
}

inline void unpoison(const void *p, size_t bytes)
{
#if SIMT_ASAN
    __asan_unpoison_memory_region(p, bytes);
#else
    (void)p;
    (void)bytes;
#endif
}

} // namespace detail
} // namespace simt

#endif
