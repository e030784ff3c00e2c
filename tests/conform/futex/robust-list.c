/* get_robust_list tells what glibc set for this thread; bad sizes and pointers are refused. */
#include "futex.h"

static void *body(void *arg)
{
    struct robust_list_head *head = NULL;
    size_t length = 0;
    CHECK_OK((int)syscall(SYS_get_robust_list, 0, &head, &length));
    CHECK(head != NULL);
    CHECK_EQ(length, sizeof *head);
    CHECK_OK((int)syscall(SYS_set_robust_list, head, length));
    CHECK_ERR(syscall(SYS_set_robust_list, head, length + 1), EINVAL);
    CHECK_ERR(syscall(SYS_get_robust_list, 0, t_bad(), &length), EFAULT);
    return arg;
}

int main(void)
{
    body(NULL);
    for (int i = 0; i < 10; i++)
        t_join(t_go(body, NULL));
    return 0;
}
