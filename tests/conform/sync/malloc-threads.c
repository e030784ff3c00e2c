/* malloc, realloc and free from many threads, blocks freed by others. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *slots[64];
static size_t sizes[64];

static void *body(void *arg)
{
    uint32_t x = (uint32_t)(intptr_t)arg * 7919 + 1;
    for (int i = 0; i < 3000; i++) {
        x = x * 1664525u + 1013904223u;
        size_t size = (x >> 8) % 5000 + 1, slot = (x >> 3) % 64;
        unsigned char *block = malloc(size);
        CHECK(block);
        block[0] = block[size - 1] = (unsigned char)slot;
        pthread_mutex_lock(&lock);
        unsigned char *old = slots[slot];
        size_t old_size = sizes[slot];
        slots[slot] = block;
        sizes[slot] = size;
        pthread_mutex_unlock(&lock);
        if (old) {
            CHECK_EQ(old[0], slot);
            CHECK_EQ(old[old_size - 1], slot);
            if (i % 5 == 0) {
                old = realloc(old, old_size * 3);
                CHECK_EQ(old[0], slot);
            }
            free(old);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[12];
    for (intptr_t i = 0; i < 12; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < 12; i++)
        t_join(threads[i]);
    return 0;
}
