/* Threads wait in read for faults, on a descriptor that blocks; many threads fault at once, in code of their own and inside
 * system calls that look at the missing memory, and wait; who serves them is never kept from running, nor are others. */
#include "../t.h"
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>

enum { PAGE = 4096, WAYS = 22, EACH = 2, PAGES = WAYS * EACH, SERVERS = 3, RING = 4 };

static int fd, file, in_kernel;
static char *memory;
static int tubes[PAGES][2];
static sem_t go;
static _Atomic uint32_t ones;

/* What is in a page when it comes. */
static void contents(char *page, int i)
{
    memset(page, 0, PAGE);
    switch (i / EACH) {
    case 2: { /* ppoll: the time */
        struct timespec none = {0, MSEC};
        memcpy(page, &none, sizeof none);
        break;
    }
    case 3: { /* poll: what is asked for */
        struct pollfd p = {tubes[i][0], POLLIN, 0};
        memcpy(page, &p, sizeof p);
        break;
    }
    case 4: { /* select: the set */
        fd_set set;
        FD_ZERO(&set);
        FD_SET(tubes[i][0], &set);
        memcpy(page, &set, sizeof set);
        break;
    }
    case 5: { /* writev: the vector */
        static char text[] = "vector";
        struct iovec v = {text, 6};
        memcpy(page, &v, sizeof v);
        break;
    }
    case 6: /* futex: not the value */
        *(int *)page = 7;
        break;
    case 7: { /* nanosleep */
        struct timespec short_time = {0, 100000};
        memcpy(page, &short_time, sizeof short_time);
        break;
    }
    case 15: { /* futex_waitv: not the value */
        struct futex_waitv v = {1, (uint64_t)(uintptr_t)&ones, FUTEX_32 | FUTEX_PRIVATE_FLAG, 0};
        ones = 7;
        memcpy(page, &v, sizeof v);
        break;
    }
    case 16: { /* the time of a futex */
        struct timespec short_time = {0, 100000};
        memcpy(page, &short_time, sizeof short_time);
        break;
    }
    case 17: { /* sendmsg */
        static struct iovec v = {"hello", 5};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        memcpy(page, &m, sizeof m);
        break;
    }
    case 18: { /* a set of signals */
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        memcpy(page, &set, sizeof set);
        break;
    }
    default:
        memset(page, i + 1, PAGE);
    }
}

/* A page may be asked for again, after a signal that nobody sees: it is there already. */
static void *serves(void *arg)
{
    char *page = aligned_alloc(PAGE, PAGE);
    struct uffd_msg message;
    for (int i = 0; i < PAGES;) {
        CHECK_EQ(read(fd, &message, sizeof message), sizeof message);
        CHECK_EQ(message.event, UFFD_EVENT_PAGEFAULT);
        uint64_t at = message.arg.pagefault.address & ~(PAGE - 1ULL);
        i = (int)((at - (uint64_t)(uintptr_t)memory) / PAGE);
        CHECK(i >= 0 && i < PAGES + SERVERS); /* one of the last: nothing else is missing, and each server ends with one */
        CHECK_OK(sem_wait(&go));
        CHECK_OK(sem_post(&go));
        contents(page, i);
        struct uffdio_copy copy = {.dst = at, .src = (uint64_t)(uintptr_t)page, .len = PAGE};
        if (ioctl(fd, UFFDIO_COPY, &copy) != 0) {
            CHECK_EQ(errno, EEXIST);
            i = 0;
        }
    }
    free(page);
    return arg;
}

static void *faults(void *arg)
{
    int i = (int)(intptr_t)arg;
    char *page = memory + i * PAGE, *twice = malloc(PAGE);
    struct timespec tick = {0, 100 * MSEC};
    uint32_t word = 0;
    if (!in_kernel)
        (void)*(volatile char *)page;
    switch (i / EACH) {
    case 0:
        CHECK_EQ(*(volatile char *)(page + 77), i + 1);
        break;
    case 1:
        *(volatile char *)(page + 77) = 100;
        CHECK_EQ(*(volatile char *)(page + 78), i + 1);
        CHECK_EQ(*(volatile char *)(page + 77), 100);
        break;
    case 2:
        CHECK_EQ(ppoll(NULL, 0, (struct timespec *)page, NULL), 0);
        break;
    case 3:
        CHECK_EQ(poll((struct pollfd *)page, 1, -1), 1);
        CHECK_EQ(((struct pollfd *)page)->revents, POLLIN);
        break;
    case 4:
        CHECK_EQ(select(tubes[i][0] + 1, (fd_set *)page, NULL, NULL, NULL), 1);
        CHECK(FD_ISSET(tubes[i][0], (fd_set *)page));
        break;
    case 5:
        CHECK_EQ(writev(tubes[i][1], (struct iovec *)page, 1), 6);
        t_read_all(tubes[i][0], twice, 11);
        break;
    case 6:
        CHECK_ERR(syscall(SYS_futex, page, i % 2 ? FUTEX_WAIT : FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &tick, NULL, 0), EAGAIN);
        break;
    case 7:
        CHECK_OK(nanosleep((struct timespec *)page, NULL));
        break;
    case 8:
        CHECK_EQ(read(tubes[i][0], page + 10, 100), 5);
        CHECK_OK(memcmp(page + 10, "hello", 5));
        CHECK_EQ(page[15], i + 1);
        break;
    case 9:
        CHECK_EQ(write(tubes[i][1], page, PAGE), PAGE);
        t_read_all(tubes[i][0], twice, 5);
        t_read_all(tubes[i][0], twice, PAGE);
        CHECK_OK(memcmp(twice, page, PAGE));
        break;
    case 10:
        CHECK_EQ(recv(tubes[i][0], page, 5, MSG_WAITALL), 5);
        CHECK_OK(memcmp(page, "hello", 5));
        break;
    case 11:
        CHECK_EQ(pread(file, page, 5, 0), 5);
        CHECK_OK(memcmp(page, "hello", 5));
        break;
    case 12:
        CHECK_OK(syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, page));
        CHECK_EQ(page[PAGE - 1], i + 1);
        break;
    case 13:
        CHECK_OK(pipe((int *)page));
        close(((int *)page)[0]);
        close(((int *)page)[1]);
        break;
    case 14:
        CHECK_ERR(syscall(SYS_futex, page, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, 1L, &word, 0), EAGAIN);
        break;
    case 15:
        if (syscall(SYS_futex_waitv, page, 1, 0, NULL, CLOCK_MONOTONIC) != -1 || errno != ENOSYS)
            CHECK_ERR(syscall(SYS_futex_waitv, page, 1, 0, NULL, CLOCK_MONOTONIC), EAGAIN);
        break;
    case 16:
        CHECK_ERR(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, page, NULL, 0), ETIMEDOUT);
        break;
    case 17:
        CHECK_EQ(sendmsg(tubes[i][1], (struct msghdr *)page, 0), 5);
        t_read_all(tubes[i][0], twice, 10);
        break;
    case 18:
        CHECK_OK(pthread_sigmask(SIG_BLOCK, (sigset_t *)page, NULL));
        CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, (sigset_t *)page));
        CHECK(sigismember((sigset_t *)page, SIGUSR1));
        break;
    case 19: {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
        int ep = epoll_create1(EPOLL_CLOEXEC);
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, tubes[i][0], &event));
        CHECK_EQ(epoll_wait(ep, (struct epoll_event *)page, 1, -1), 1);
        CHECK_EQ(((struct epoll_event *)page)->data.u64, 5);
        close(ep);
        break;
    }
    case 20: {
        int event = eventfd(9, EFD_CLOEXEC);
        CHECK_EQ(read(event, page, 8), 8);
        CHECK_EQ(*(uint64_t *)page, 9);
        close(event);
        break;
    }
    default:
        CHECK_OK(getrusage(RUSAGE_THREAD, (struct rusage *)page));
        CHECK_EQ(((unsigned char *)page)[PAGE - 1], i + 1);
    }
    free(twice);
    return NULL;
}

int main(void)
{
    pthread_t threads[PAGES], servers[SERVERS];
    size_t size = (PAGES + SERVERS) * PAGE;
    struct uffdio_api api = {.api = UFFD_API};
    fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC); /* faults of the kernel too: root's, or all if the machine says so */
    in_kernel = fd >= 0;
    if (fd < 0)
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0)
        t_skip("no userfaultfd here");
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK_OK(madvise(memory, size, MADV_NOHUGEPAGE));
    struct uffdio_register area = {.range = {(uint64_t)(uintptr_t)memory, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK_OK(ioctl(fd, UFFDIO_REGISTER, &area));
    file = memfd_create("userfault", MFD_CLOEXEC);
    CHECK_EQ(write(file, "hello", 5), 5);
    CHECK_OK(sem_init(&go, 0, 0));
    for (int i = 0; i < PAGES; i++) {
        if (i / EACH == 10 || i / EACH == 17)
            t_pair(tubes[i]);
        else
            CHECK_OK(pipe(tubes[i]));
        if (i / EACH != 8 && i / EACH != 10) /* a pipe is locked while what is written to it is copied */
            CHECK_EQ(write(tubes[i][1], "hello", 5), 5);
    }
    for (int i = 0; i < SERVERS; i++)
        servers[i] = t_go(serves, NULL);
    t_settle();
    for (intptr_t i = 0; i < PAGES; i++)
        threads[i] = t_go(faults, (void *)i);
    for (int i = 0; i < PAGES; i++)
        if (i / EACH == 8 || i / EACH == 10)
            CHECK_EQ(write(tubes[i][1], "hello", 5), 5);
    t_pass_round(RING, 50);
    CHECK_OK(sem_post(&go));
    for (int i = 0; i < PAGES; i++)
        t_join(threads[i]);
    for (int i = 0; i < SERVERS; i++)
        CHECK_EQ(((volatile char *)memory)[(PAGES + i) * PAGE], PAGES + i + 1);
    for (int i = 0; i < SERVERS; i++)
        t_join(servers[i]);
    return 0;
}
