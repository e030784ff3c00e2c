/* Formatting without libc: its printf is for other contexts, and a process that has not used it yet pays 60 us for the first time. */
#include "base.h"

#include <stdarg.h>

struct out {
    char *buf;
    size_t size, len;
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_num(struct out *o, uint64_t v, unsigned base, int width, char pad)
{
    char t[24];
    int n = 0;
    do {
        t[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (int i = n; i < width; i++)
        put(o, pad);
    while (n)
        put(o, t[--n]);
}

size_t vformat(char *buf, size_t size, const char *f, va_list ap)
{
    struct out o = {buf, size, 0};
    for (; *f; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        f++;
        int width = 0, most = -1;
        bool l = false;
        char pad = *f == '0' ? '0' : ' ';
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + (*f - '0');
        if (*f == '.' && f[1] == '*') {
            most = va_arg(ap, int);
            f += 2;
        }
        for (; *f == 'l' || *f == 'z'; f++)
            l = true;
        switch (*f) {
        case 's': {
            const char *s = va_arg(ap, const char *);
            int n = 0;
            for (s = s ? s : "(null)"; n != most && *s; s++, n++)
                put(&o, *s);
            for (; n < width; n++)
                put(&o, ' ');
            break;
        }
        case 'd': {
            int64_t v = l ? va_arg(ap, long) : va_arg(ap, int);
            if (v < 0)
                put(&o, '-');
            put_num(&o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, width, pad);
            break;
        }
        case 'u':
            put_num(&o, l ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 10, width, pad);
            break;
        case 'x':
            put_num(&o, l ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), 16, width, pad);
            break;
        case 'p':
            put(&o, '0');
            put(&o, 'x');
            put_num(&o, (uintptr_t)va_arg(ap, void *), 16, width, pad);
            break;
        case 'c':
            put(&o, (char)va_arg(ap, int));
            break;
        default:
            put(&o, *f);
        }
    }
    if (size)
        buf[o.len < size ? o.len : size - 1] = 0;
    return o.len < size ? o.len : size ? size - 1 : 0;
}

size_t format(char *buf, size_t size, const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    size_t n = vformat(buf, size, f, ap);
    va_end(ap);
    return n;
}
