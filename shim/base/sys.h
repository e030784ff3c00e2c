/* Raw system calls, never through libc (whose sites are patched) and never touching errno.
 * They return -errno. Signal-safe, any stack.
 */
#ifndef HANDOFF_SYS_H
#define HANDOFF_SYS_H

#include <stdint.h>
#include <asm/unistd.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
static inline long sys4(long nr, long a, long b, long c, long d)
{
    long ret;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}
static inline long sys3(long nr, long a, long b, long c)
{
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(nr), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return ret;
}
static inline long sys5(long nr, long a, long b, long c, long d, long e)
{
    return sys6(nr, a, b, c, d, e, 0);
}
static inline long sys2(long nr, long a, long b)
{
    return sys3(nr, a, b, 0);
}
static inline long sys1(long nr, long a)
{
    return sys3(nr, a, 0, 0);
}
static inline long sys0(long nr)
{
    return sys3(nr, 0, 0, 0);
}

#define P(x) ((long)(uintptr_t)(x))

/* Every thread of the process that runs passes a full barrier (membarrier(2), registered at activation). 0 or -errno. */
static inline long membarrier(void)
{
    return sys3(__NR_membarrier, 8 /* PRIVATE_EXPEDITED */, 0, 0);
}

/* mmap of private anonymous memory; NULL when refused. */
static inline void *sys_map(void *addr, unsigned long size, int prot, int flags)
{
    long r = sys6(__NR_mmap, P(addr), (long)size, prot, flags | 0x22 /* PRIVATE|ANONYMOUS */, -1, 0);
    return r < 0 && r > -4096 ? 0 : (void *)r;
}
static inline long sys_unmap(void *addr, unsigned long size)
{
    return sys2(__NR_munmap, P(addr), (long)size);
}

#endif
