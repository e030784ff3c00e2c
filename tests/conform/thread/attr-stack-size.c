/* The stack size asked for is there to use, and pthread_getattr_np tells it. */
#include "../t.h"

static void *uses(void *arg)
{
    size_t want = (size_t)arg, size;
    void *low;
    pthread_attr_t attr;
    CHECK_OK(pthread_getattr_np(pthread_self(), &attr));
    CHECK_OK(pthread_attr_getstack(&attr, &low, &size));
    CHECK_OK(pthread_attr_destroy(&attr));
    CHECK_GE(size, want);
    char here;
    CHECK(&here > (char *)low && &here < (char *)low + size);

    size_t deep = want - want / 8 - 8192;
    volatile char *block = __builtin_alloca(deep);
    for (size_t i = 0; i < deep; i += 512)
        block[deep - 1 - i] = (char)i;
    for (size_t i = 0; i < deep; i += 512)
        CHECK_EQ(block[deep - 1 - i], (char)i);
    return NULL;
}

int main(void)
{
    static const size_t sizes[] = {32 << 10, 64 << 10, 100 << 10, 256 << 10,
                                   1 << 20,  8 << 20,  64 << 20};
    for (int again = 0; again < 3; again++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            pthread_attr_t attr;
            pthread_t thread;
            CHECK_OK(pthread_attr_init(&attr));
            CHECK_OK(pthread_attr_setstacksize(&attr, sizes[i]));
            CHECK_OK(pthread_create(&thread, &attr, uses, (void *)sizes[i]));
            t_join(thread);
        }
    return 0;
}
