/* Lengths that no memory has are EFAULT for read, write and their like, on pipes and sockets as on files, and nothing is taken. */
#include "../t.h"

static void *body(void *arg)
{
    const volatile size_t lengths[] = {(size_t)-1, (size_t)1 << 63, (size_t)1 << 62};
    for (int kind = 0; kind < 3; kind++) {
        int ends[2];
        char b[16];
        if (kind == 0)
            CHECK_OK(pipe(ends));
        else if (kind == 1)
            t_pair(ends);
        else
            t_tcp(ends);
        t_write_all(ends[1], "abc", 3);
        for (int i = 0; i < 3; i++) {
            CHECK_ERR(syscall(SYS_read, ends[0], b, lengths[i]), EFAULT);
            CHECK_ERR(syscall(SYS_write, ends[1], b, lengths[i]), EFAULT);
        }
        CHECK_EQ(read(ends[0], b, sizeof b), 3);
        close(ends[0]);
        close(ends[1]);
    }
    return arg;
}

int main(void)
{
    t_join(t_go(body, NULL));
    return 0;
}
