#include "switch.h"

#include <new>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(from, to) (static_cast<void>(from), static_cast<void>(to), 0u)
#define VALGRIND_STACK_DEREGISTER(id) static_cast<void>(id)
#endif

#if SIMT_SWITCH_ASM
/* The registers that a call keeps go onto the old stack, its pointer to *rdi; those of the
 * new stack at rsi come back. A jump rather than a return: it is predicted. */
asm(R"(
    .text
    .p2align 4
    .globl simt_switch_stacks
    .hidden simt_switch_stacks
    .type simt_switch_stacks, @function
simt_switch_stacks:
    .cfi_startproc
    endbr64
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    pop %rcx
    notrack jmp *%rcx
    .cfi_endproc
    .size simt_switch_stacks, .-simt_switch_stacks

    .p2align 4
    .globl simt_stack_begins
    .hidden simt_stack_begins
    .type simt_stack_begins, @function
simt_stack_begins:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    mov %r13, %rdi
    call *%r12
    ud2
    .cfi_endproc
    .size simt_stack_begins, .-simt_stack_begins
)");
extern "C" void simt_stack_begins();
#endif

namespace simt
{
namespace detail
{

namespace
{
/* AddressSanitizer's frames are large. */
constexpr size_t usable = SIMT_ASAN ? 256 * 1024 : 64 * 1024;
constexpr size_t colours = 16384, colour = 1344;
} // namespace

stack *stack_new(unsigned number)
{
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t bytes = page + usable + colours;
    void *map =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return nullptr;
    if (mprotect(map, page, PROT_NONE) != 0) {
        munmap(map, bytes);
        return nullptr;
    }
    stack *s = new stack();
    s->map = static_cast<unsigned char *>(map);
    s->map_bytes = bytes;
    s->bottom = s->map + page;
    s->top = s->map + bytes - (number * colour % colours & ~static_cast<size_t>(15));
    s->valgrind_id = VALGRIND_STACK_REGISTER(s->bottom, s->map + bytes);
    return s;
}

void stack_free(stack *s)
{
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
    stack_abandoned(s);
    munmap(s->map, s->map_bytes);
    delete s;
}

void stack_abandoned(stack *s)
{
    unpoison(s->bottom, static_cast<size_t>(s->map + s->map_bytes - s->bottom));
}

#if !SIMT_SWITCH_ASM
namespace
{
void enter(unsigned high, unsigned low)
{
    auto *c = reinterpret_cast<context *>(static_cast<uintptr_t>(static_cast<uint64_t>(high) << 32 | low));
    c->run(c->argument);
}
} // namespace
#endif

void context_init(context *to, stack *s, void (*run)(void *), void *argument)
{
    to->bottom = s->bottom;
    to->bytes = static_cast<size_t>(s->map + s->map_bytes - s->bottom);
    to->fake = nullptr;
#if SIMT_SWITCH_ASM
    /* r15 r14 r13 r12 rbx rbp, where to go on; then the stack is aligned to 16 */
    auto **words = reinterpret_cast<void **>(s->top - 16) - 7;
    memset(words, 0, 9 * sizeof *words);
    words[2] = argument;
    words[3] = reinterpret_cast<void *>(run);
    words[6] = reinterpret_cast<void *>(simt_stack_begins);
    to->sp = words;
#else
    to->run = run;
    to->argument = argument;
    getcontext(&to->saved);
    to->saved.uc_stack.ss_sp = s->bottom;
    to->saved.uc_stack.ss_size = static_cast<size_t>(s->top - s->bottom);
    to->saved.uc_link = nullptr;
    uint64_t address = reinterpret_cast<uintptr_t>(to);
    makecontext(&to->saved, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(address >> 32),
        static_cast<unsigned>(address));
#endif
}

void context_entered(context *main)
{
#if SIMT_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!main->bottom) { /* the first fiber of a launch comes from there */
        main->bottom = bottom;
        main->bytes = bytes;
    }
#else
    (void)main;
#endif
}

} // namespace detail
} // namespace simt
