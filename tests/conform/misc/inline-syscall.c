/* A blocking system call made by an instruction nobody can have patched (in memory made executable
 * at run time) stalls nobody. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
#include "../t.h"

/* mov rax, rdi; mov rdi, rsi; mov rsi, rdx; mov rdx, rcx; syscall; ret */
static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89,
                                     0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
static long (*raw)(long, long, void *, long);
static int tubes[8][2];

static void *blocks(void *arg)
{
    int id = (int)(intptr_t)arg;
    char byte = 0;
    CHECK_EQ(raw(SYS_read, tubes[id][0], &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    return NULL;
}

static void *writes(void *arg)
{
    for (int i = 0; i < 8; i++)
        CHECK_EQ(write(tubes[i][1], "y", 1), 1);
    return arg;
}

int main(void)
{
    pthread_t threads[8];
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    memcpy(map, code, sizeof code);
    CHECK_OK(mprotect(map, 4096, PROT_READ | PROT_EXEC));
    memcpy(&raw, &map, sizeof raw);
    for (int round = 0; round < 3; round++) {
        for (intptr_t i = 0; i < 8; i++) {
            CHECK_OK(pipe(tubes[i]));
            threads[i] = t_go(blocks, (void *)i);
        }
        t_settle();
        pthread_t writer = t_go(writes, NULL);
        t_join(writer);
        for (int i = 0; i < 8; i++) {
            t_join(threads[i]);
            close(tubes[i][0]);
            close(tubes[i][1]);
        }
    }
    /* In main too, the writer being created before. */
    CHECK_OK(pipe(tubes[0]));
    for (int i = 1; i < 8; i++)
        CHECK_OK(pipe(tubes[i]));
    pthread_t writer = t_go(writes, NULL);
    blocks((void *)0);
    t_join(writer);
    return 0;
}
