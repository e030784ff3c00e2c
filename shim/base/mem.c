/* memcpy and its kin for the shim alone. libc's are reached through TLS-free code too, but use
 * vector registers, which belong to the program while a hook runs; and gcc emits calls to these
 * names for plain assignments. Hidden, so that the program keeps libc's. */
#include "base.h"

__attribute__((visibility("hidden"))) void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    void *d = dst;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
    return dst;
}

__attribute__((visibility("hidden"))) void *memset(void *dst, int c, size_t n)
{
    void *d = dst;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return dst;
}

__attribute__((visibility("hidden"))) void *memmove(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;
    if (d <= s || d >= s + n)
        return memcpy(dst, src, n);
    while (n--) {
        d[n] = s[n];
        __asm__ volatile("" : : : "memory"); /* keep gcc from calling memmove for this loop */
    }
    return dst;
}

__attribute__((visibility("hidden"))) int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        __asm__ volatile("" : : : "memory");
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}
