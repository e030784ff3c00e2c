/* A handler begins with the initial floating point state, whatever it interrupts: which has its own again afterwards. */
#include "../t.h"
#include <fenv.h>
#include <setjmp.h>

enum { OTHER_CONTROL = 0xb7f /* rounds up */, OTHER_MXCSR = 0x5f80 };
static _Atomic int hits;
static volatile sig_atomic_t first_control = -1, first_status, first_tags, first_mxcsr, wrong;
static sigjmp_buf out;

struct environment {
    uint32_t control, status, tags, rest[4];
};

static uint32_t mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}
static unsigned control(void)
{
    uint16_t v;
    __asm__ volatile("fnstcw %0" : "=m"(v));
    return v;
}
static void set(uint16_t x87, uint32_t sse)
{
    __asm__ volatile("fldcw %0; ldmxcsr %1" : : "m"(x87), "m"(sse));
}

/* No CHECK in here: it runs in a handler. */
static void look(void)
{
    struct environment e;
    __asm__ volatile("fnstenv %0; fldenv %0" : "+m"(e));
    if ((e.control & 0xffff) != 0x37f || (e.status & 0xb8ff) || (e.tags & 0xffff) != 0xffff || mxcsr() != 0x1f80) {
        first_control = (int)(e.control & 0xffff);
        first_status = (int)(e.status & 0xffff);
        first_tags = (int)(e.tags & 0xffff);
        first_mxcsr = (int)mxcsr();
        wrong = 1;
    }
    set(0x77f, 0x3f80); /* rounds down: the handler's own */
    hits++;
}
static void handler(int number)
{
    (void)number;
    look();
}
static void leaves(int number)
{
    (void)number;
    look();
    siglongjmp(out, 1);
}

static void check(const char *when, int want) /* 0: one at least */
{
    if (wrong || (want ? hits != want : hits == 0)) {
        printf("%s: control %x status %x tags %x mxcsr %x, %d of %d\n", when, (unsigned)first_control, (unsigned)first_status,
               (unsigned)first_tags, (unsigned)first_mxcsr, hits, want);
        exit(1);
    }
    CHECK_EQ(control(), OTHER_CONTROL);
    CHECK_EQ(mxcsr() & ~0x3fu, OTHER_MXCSR);
}

static pthread_t target;
static _Atomic int enough;
static void *sends(void *arg) /* until the target has left what it is to interrupt */
{
    while (!enough) {
        CHECK_OK(pthread_kill(target, SIGUSR1));
        usleep(1000);
    }
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler}, fault = {.sa_handler = leaves, .sa_flags = SA_NODEFER};
    sigset_t both, old;
    char byte;
    int ends[2];
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR2, &action, NULL));
    CHECK_OK(sigaction(SIGFPE, &fault, NULL));
    CHECK_OK(pipe(ends));
    target = pthread_self();
    enough = 1;
    t_join(t_go(sends, NULL)); /* the process has threads */
    set(OTHER_CONTROL, OTHER_MXCSR);
    wrong = 0;

    hits = 0;
    pthread_kill(target, SIGUSR1);
    check("at a system call", 1);

    hits = enough = 0;
    pthread_t thread = t_go(sends, NULL);
    CHECK_EQ(read(ends[0], &byte, 1), -1);
    CHECK_EQ(errno, EINTR);
    enough = 1;
    t_join(thread);
    check("in a call that waits", 0);

    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &both, &old));
    CHECK_OK(pthread_kill(target, SIGUSR1));
    CHECK_OK(pthread_kill(target, SIGUSR2));
    hits = 0;
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
    check("one on top of the other", 2);

    hits = enough = 0;
    thread = t_go(sends, NULL);
    long double sum;
    do { /* with registers in use */
        __asm__ volatile("fld1; fld1; fld1; movl $2000, %%ecx; 1: fadd %%st(0), %%st(1); decl %%ecx; jnz 1b; fstp %%st(0); fstpt %0; fstp %%st(0)"
                         : "=m"(sum)
                         :
                         : "ecx", "st", "st(1)", "st(2)");
        CHECK(sum == 2001.0L);
    } while (hits < 3);
    enough = 1;
    t_join(thread);
    check("while it computes", 0);

    hits = 0;
    for (volatile int i = 0; i < 2; i++)
        if (!sigsetjmp(out, 1)) {
            volatile double zero = 0, one = 1;
            volatile long double deep_zero = 0, deep_one = 1;
            set(0x37b, 0x1d80); /* traps on division by zero */
            if (i == 0)
                one /= zero;
            else {
                deep_one /= deep_zero;
                deep_zero = deep_one + 1;
            }
            CHECK(0);
        } else { /* what the handler had */
            CHECK_EQ(control(), 0x77f);
            CHECK_EQ(mxcsr(), 0x3f80);
        }
    set(OTHER_CONTROL, OTHER_MXCSR);
    check("at a fault", 2);
    return 0;
}
