/* The x87 control word and exceptions are each thread's own over every kind of switch, and what one leaves in the registers
 * (MMX without emms, which breaks the ABI) is not seen by others. */
#include "../t.h"

#define COUNT  8
#define ROUNDS 300
enum { PLAIN, PRECISE, RAISES, LEAVES };
static sem_t sems[COUNT];
static int pipes[COUNT][2];

static unsigned control(void)
{
    uint16_t v;
    __asm__ volatile("fnstcw %0" : "=m"(v));
    return v;
}
static unsigned status(void)
{
    uint16_t v;
    __asm__ volatile("fnstsw %0" : "=a"(v));
    return v & 0xb8ffu; /* busy, top, exceptions */
}

/* All eight registers can be used: none is taken. */
static void use_all(void)
{
    double sum;
    __asm__ volatile("fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1\n\t"
                     "faddp; faddp; faddp; faddp; faddp; faddp; faddp; fstpl %0"
                     : "=m"(sum)
                     :
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
    CHECK(sum == 8.0);
}

static void switch_away(int id, int round)
{
    char byte = 'x';
    int next = (id + 1) % COUNT;
    if (round % 3 == 0) {
        CHECK_EQ(write(pipes[next][1], &byte, 1), 1);
        CHECK_EQ(read(pipes[id][0], &byte, 1), 1);
    } else {
        CHECK_OK(sem_post(&sems[next]));
        CHECK_OK(sem_wait(&sems[id]));
    }
    sched_yield();
}

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg, kind = id % 4;
    unsigned cw = 0x37f, sw = 0;
    if (kind == PRECISE) {
        uint16_t v = 0x27f; /* double precision */
        cw = v;
        __asm__ volatile("fldcw %0" : : "m"(v));
    }
    if (kind == RAISES) {
        volatile long double zero = 0.0L, r;
        r = 1.0L / zero;
        (void)r;
        sw = 4; /* ZE */
    }
    for (int i = 0; i < ROUNDS; i++) {
        if (kind == LEAVES) {
            __asm__ volatile("pxor %%mm0, %%mm0" : : : "mm0");
            switch_away(id, i);
            __asm__ volatile("emms");
            continue;
        }
        CHECK_EQ(control(), cw);
        CHECK_EQ(status(), sw);
        use_all();
        switch_away(id, i);
        CHECK_EQ(control(), cw);
        CHECK_EQ(status(), sw);
        use_all();
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(sem_init(&sems[i], 0, 0));
        CHECK_OK(pipe(pipes[i]));
    }
    for (int i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)(intptr_t)i);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
