/* A thread that faults on memory served by userfaultfd waits; the thread that reads the descriptor
 * runs, and serves it. */
#include "../t.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#define PAGES 16
static int fd;
static char *memory;

static void *serves(void *arg)
{
    static char page[4096] __attribute__((aligned(4096)));
    for (int i = 0; i < PAGES; i++) {
        struct uffd_msg message;
        struct pollfd p = {fd, POLLIN, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(read(fd, &message, sizeof message), sizeof message);
        CHECK_EQ(message.event, UFFD_EVENT_PAGEFAULT);
        uint64_t at = message.arg.pagefault.address & ~4095ULL;
        memset(page, (int)((at - (uint64_t)(uintptr_t)memory) / 4096) + 1, sizeof page);
        struct uffdio_copy copy = {.dst = at, .src = (uint64_t)(uintptr_t)page, .len = 4096};
        CHECK_OK(ioctl(fd, UFFDIO_COPY, &copy));
    }
    return arg;
}

static void *faults(void *arg)
{
    int first = (int)(intptr_t)arg;
    for (int i = first; i < PAGES; i += 2)
        CHECK_EQ(((volatile char *)memory)[i * 4096 + 77], i + 1);
    return NULL;
}

int main(void)
{
    fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0)
        t_skip("no userfaultfd here");
    memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register area = {.range = {(uint64_t)(uintptr_t)memory, PAGES * 4096},
                                   .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK_OK(ioctl(fd, UFFDIO_REGISTER, &area));
    pthread_t one = t_go(faults, (void *)0), two = t_go(faults, (void *)1),
              server = t_go(serves, NULL);
    t_join(one);
    t_join(two);
    t_join(server);
    return 0;
}
