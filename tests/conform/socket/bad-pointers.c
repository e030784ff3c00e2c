/* Bad buffers, vectors, addresses and lengths are EFAULT or EINVAL, waiting or not, and cost no
 * data; bad numbers EBADF. */
#include "../t.h"

static int ends[2], waiting[2];

static void *faults_waiting(void *arg)
{
    CHECK_ERR(read(waiting[0], t_bad(), 1), EFAULT); /* only once there is a byte to copy */
    return arg;
}

static void *body(void *arg)
{
    char byte, *bad = t_bad();
    volatile int negative = -1, many = 1025;
    t_pair(ends);
    CHECK_EQ(write(ends[1], "data", 4), 4);
    CHECK_ERR(read(ends[0], bad, 4), EFAULT);
    CHECK_ERR(recv(ends[0], bad, 4, 0), EFAULT);
    struct iovec iov = {bad, 4};
    CHECK_ERR(readv(ends[0], &iov, 1), EFAULT);
    CHECK_ERR(readv(ends[0], t_bad(), 1), EFAULT);
    CHECK_ERR(readv(ends[0], &iov, negative), EINVAL);
    CHECK_ERR(readv(ends[0], &iov, many), EINVAL);
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK_ERR(recvmsg(ends[0], &msg, 0), EFAULT);
    CHECK_ERR(recvmsg(ends[0], t_bad(), 0), EFAULT);
    CHECK_EQ(recv(ends[0], &byte, 1, 0), 1);
    CHECK_EQ(byte, 'd');
    CHECK_ERR(write(ends[1], bad, 4), EFAULT);
    CHECK_ERR(send(ends[1], bad, 4, 0), EFAULT);
    CHECK_ERR(writev(ends[1], &iov, 1), EFAULT);
    CHECK_ERR(sendmsg(ends[1], &msg, 0), EFAULT);
    CHECK_EQ(recv(ends[0], &byte, 1, 0), 1);
    CHECK_EQ(byte, 'a');
    CHECK_EQ(read(ends[0], &byte, 0), 0);
    CHECK_EQ(write(ends[1], &byte, 0), 0);
    CHECK_ERR(read(-1, &byte, 1), EBADF);
    CHECK_ERR(read(12345, &byte, 1), EBADF);
    CHECK_ERR(write(12345, &byte, 1), EBADF);
    CHECK_ERR(recv(-5, &byte, 1, 0), EBADF);
    CHECK_ERR(accept(12345, NULL, NULL), EBADF);
    CHECK_ERR(accept(ends[0], NULL, NULL), EINVAL);
    CHECK_ERR(close(12345), EBADF);
    int tube[2];
    CHECK_OK(pipe(tube));
    CHECK_ERR(recv(tube[0], &byte, 1, 0), ENOTSOCK);
    CHECK_ERR(accept(tube[0], NULL, NULL), ENOTSOCK);
    CHECK_ERR(read(tube[1], &byte, 1), EBADF);
    CHECK_ERR(write(tube[0], &byte, 1), EBADF);
    struct sockaddr_in address;
    int listener = t_listen(&address, 4), client = t_connect(&address);
    socklen_t length = sizeof address;
    CHECK_ERR(accept(listener, t_bad(), &length), EFAULT);
    close(client);
    close(listener);
    close(tube[0]);
    close(tube[1]);
    close(ends[0]);
    close(ends[1]);
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    t_pair(waiting);
    pthread_t thread = t_go(faults_waiting, NULL);
    t_settle();
    CHECK_EQ(write(waiting[1], "x", 1), 1);
    t_join(thread);
    return 0;
}
