/*
 * httpd [PORT] - a small HTTP/1.1 server, a thread per connection, plain blocking calls: what
 * tools/demo runs.
 *
 * Nothing in it knows of handoff. GET and HEAD of / answer a short page, of /time the time, of
 * /sleep/MS after so many milliseconds; all else is 404. Connections are kept alive unless asked to
 * close. PORT 0, the default, takes a free one; "port N" is printed once it listens. SIGTERM and
 * SIGINT end it with status 0.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_ROOM 8192

static const char page[] =
    "<!doctype html><title>handoff</title><p>A thread per connection, as it always was.\n";

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* answer: one response to a head that ends in an empty line; -1 ends the connection. */
static int answer(int fd, char *head)
{
    char method[16], path[256], version[16], text[128], out[1024];
    const char *body = page, *status = "200 OK";
    if (sscanf(head, "%15s %255s %15s", method, path, version) != 3)
        return -1;
    int keep = strcmp(version, "HTTP/1.1") == 0
                   ? !strcasestr(head, "\nconnection: close")
                   : strcasestr(head, "\nconnection: keep-alive") != NULL;
    int ms;
    if (strcmp(path, "/time") == 0) {
        snprintf(text, sizeof text, "%lld\n", (long long)time(NULL));
        body = text;
    } else if (sscanf(path, "/sleep/%d", &ms) == 1 && ms >= 0) {
        struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
        nanosleep(&span, NULL);
    } else if (strcmp(path, "/") != 0) {
        status = "404 Not Found";
        body = "not found\n";
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        status = "405 Method Not Allowed";
        body = "";
        keep = 0;
    }
    int n = snprintf(
        out, sizeof out,
        "HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
        status, strlen(body), keep ? "keep-alive" : "close",
        strcmp(method, "HEAD") == 0 ? "" : body);
    if (write_all(fd, out, (size_t)n) != 0)
        return -1;
    return keep ? 0 : -1;
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char head[HEAD_ROOM];
    size_t have = 0;
    for (;;) {
        head[have] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (end) {
            char saved = end[3];
            end[3] = 0;
            if (answer(fd, head) != 0)
                break;
            end[3] = saved;
            have -= (size_t)(end + 4 - head);
            memmove(head, end + 4, have);
            continue;
        }
        if (have == sizeof head - 1)
            break;
        ssize_t n = read(fd, head + have, sizeof head - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    close(fd);
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fprintf(stderr, "httpd: cannot listen: %s\n", strerror(errno));
        return 1;
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);

    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            if (errno != EINTR && errno != ECONNABORTED)
                usleep(1000); /* out of descriptors: let some go */
            continue;
        }
        pthread_t thread;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        int error = pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd);
        if (error != 0) {
            fprintf(stderr, "httpd: no thread for a connection: %s\n", strerror(error));
            close(fd);
        }
    }
}
