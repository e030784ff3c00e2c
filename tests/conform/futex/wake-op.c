/* FUTEX_WAKE_OP: every operation and comparison, the sign extension, the shift, and both wake
 * counts. */
#include "futex.h"

static uint32_t a, b, parked;

static void *body(void *arg)
{
    CHECK_EQ(futex(&parked, FUTEX_WAIT | PRIVATE, 0, NULL, NULL, 0), 0);
    return arg;
}

static int apply(int op, int old, int arg)
{
    switch (op) {
    case FUTEX_OP_SET:
        return arg;
    case FUTEX_OP_ADD:
        return old + arg;
    case FUTEX_OP_OR:
        return old | arg;
    case FUTEX_OP_ANDN:
        return old & ~arg;
    default:
        return old ^ arg;
    }
}

static int compare(int cmp, int old, int arg)
{
    switch (cmp) {
    case FUTEX_OP_CMP_EQ:
        return old == arg;
    case FUTEX_OP_CMP_NE:
        return old != arg;
    case FUTEX_OP_CMP_LT:
        return old < arg;
    case FUTEX_OP_CMP_LE:
        return old <= arg;
    case FUTEX_OP_CMP_GT:
        return old > arg;
    default:
        return old >= arg;
    }
}

static void *table(void *unused)
{
    static const int olds[] = {0, 5, -3, 2047, 0x7ffffff0}, args[] = {0, 5, -3, 2047, -2048};
    for (int op = 0; op < 5; op++)
        for (int o = 0; o < 5; o++)
            for (int g = 0; g < 5; g++) {
                b = (uint32_t)olds[o];
                uint32_t code = (uint32_t)FUTEX_OP(op, args[g], FUTEX_OP_CMP_EQ, 0);
                code = (uint32_t)op << 28 | ((uint32_t)args[g] & 0xfff) << 12;
                CHECK_EQ(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), &b, code), 0);
                CHECK_EQ((int)b, apply(op, olds[o], args[g]));
            }
    b = 1;
    CHECK_EQ(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), &b,
                   (uint32_t)(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT) << 28 | 4 << 12),
             0);
    CHECK_EQ(b, 17);
    CHECK_ERR(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), &b, 7u << 28), ENOSYS);
    CHECK_ERR(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), &b, 7u << 24), ENOSYS);
    CHECK_ERR(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), t_bad(), 0), EFAULT);
    CHECK_ERR(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), (char *)&b + 1, 0), EINVAL);
    return unused;
}

int main(void)
{
    table(NULL);
    t_join(t_go(table, NULL));

    /* One waiter on the second word: woken exactly when the old value compares. */
    static const int olds[] = {4, 5, 6};
    for (int cmp = 0; cmp < 6; cmp++)
        for (int o = 0; o < 3; o++) {
            b = 0;
            pthread_t thread = t_go(body, NULL);
            gather(&parked, &b, 1, PRIVATE);
            b = (uint32_t)olds[o];
            uint32_t code = (uint32_t)FUTEX_OP_ADD << 28 | (uint32_t)cmp << 24 | 1 << 12 | 5;
            CHECK_WAKES(futex(&a, FUTEX_WAKE_OP | PRIVATE, 1, COUNT(1), &b, code),
                        compare(cmp, olds[o], 5), &parked, PRIVATE);
            CHECK_EQ(b, olds[o] + 1);
            if (!compare(cmp, olds[o], 5))
                CHECK_WAKES(futex(&b, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0), 1, &parked, PRIVATE);
            t_join(thread);
        }

    /* Three on each word: 2 of the first and 1 of the second. */
    pthread_t threads[6];
    for (int i = 0; i < 3; i++)
        threads[i] = t_go(body, NULL);
    gather(&parked, &a, 3, PRIVATE);
    for (int i = 3; i < 6; i++)
        threads[i] = t_go(body, NULL);
    gather(&parked, &b, 3, PRIVATE);
    b = 0;
    CHECK_WAKES(futex(&a, FUTEX_WAKE_OP | PRIVATE, 2, COUNT(1), &b, 9 << 12), 3, &parked, PRIVATE);
    CHECK_EQ(b, 9);
    CHECK_WAKES(futex(&a, FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0), 1, &parked, PRIVATE);
    CHECK_WAKES(futex(&b, FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0), 2, &parked, PRIVATE);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    return 0;
}
