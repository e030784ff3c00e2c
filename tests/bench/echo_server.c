/*
 * echo_server [COMPUTING [READERS FILE]] - a thread per connection, plain blocking read and write;
 * COMPUTING threads compute beside them, and READERS threads read FILE at random places, cold: what
 * was read is dropped from the page cache.
 *
 * Listens on a free loopback port and prints "port N"; ends with status 0 on SIGTERM.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char data[4096];
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0)
        for (ssize_t sent = 0; sent < n;) {
            ssize_t m = write(fd, data + sent, (size_t)(n - sent));
            if (m <= 0)
                goto out;
            sent += m;
        }
out:
    close(fd);
    return NULL;
}

static void *compute(void *arg)
{
    volatile uint64_t x = 1;
    for (;;)
        x = x * 6364136223846793005u + 1;
    return arg;
}

static const char *path;

static void *reads_cold(void *arg)
{
    static const size_t piece = 65536;
    int fd = open(path, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    char *data = malloc(piece);
    uint64_t x = (uint64_t)(uintptr_t)arg + 1;
    while (size >= (off_t)piece) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        off_t at = (off_t)((x >> 20) % ((uint64_t)size / piece) * piece);
        if (pread(fd, data, piece, at) != (ssize_t)piece)
            break;
        posix_fadvise(fd, at, (off_t)piece, POSIX_FADV_DONTNEED);
    }
    perror("echo_server: reading the file");
    _exit(1);
}

static void on_term(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("echo_server");
        return 1;
    }
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 64 << 10);
    for (int i = 0; argc > 1 && i < atoi(argv[1]); i++)
        pthread_create(&thread, &attr, compute, NULL);
    if (argc > 3)
        path = argv[3];
    for (intptr_t i = 0; argc > 3 && i < atoi(argv[2]); i++)
        pthread_create(&thread, &attr, reads_cold, (void *)i);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
