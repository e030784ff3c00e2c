/* A thread of many makes calls of each kind (a file, a socket, one that fails): what a debugger steps through. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void *nothing(void *arg)
{
    return arg;
}

__attribute__((noinline)) static void stepped(int file, int socket)
{
    char byte;
    if (read(file, &byte, 1) != 1 || read(socket, &byte, 1) != 1 || read(-1, &byte, 1) != -1)
        _exit(1);
}

int main(void)
{
    pthread_t thread;
    int ends[2], file = open("/dev/zero", O_RDONLY);
    if (file < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || write(ends[1], "x", 1) != 1)
        return 1;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    stepped(file, ends[0]);
    if (write(ends[1], "x", 1) != 1)
        return 1;
    stepped(file, ends[0]);
    return 0;
}
