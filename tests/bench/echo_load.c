/*
 * echo_load PORT CONNECTIONS SECONDS [SERVER_PID] [http [PATH] | raw REQUEST SIZE] - a closed loop
 * over many connections, one thread, epoll.
 *
 * Every connection sends 64 bytes (or an HTTP request, or REQUEST), waits for the whole answer
 * (that of REQUEST has SIZE bytes), and sends again. SERVER_PID 0: none. After a warm-up of a fifth
 * of the time, prints requests per second, p50, p99 and the longest (microseconds) and, with
 * SERVER_PID, the server's CPU time per request (microseconds, from /proc/PID/stat: all its
 * threads).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ECHO_SIZE 64
#define BUCKETS   4000

struct connection {
    int fd;
    uint32_t have; /* bytes of the answer so far */
    uint32_t want; /* its length, once known; 0 before */
    int64_t sent;
    char head[1024];
};

static uint64_t histogram[BUCKETS]; /* steps of 2 % from 1 us up */
static char request[1024];
static size_t request_size;
static int http;
static uint32_t answer_size = ECHO_SIZE;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* bucket: linear to 16 us in 1/8 us, then 64 steps per doubling. */
static int bucket(int64_t ns)
{
    uint64_t v = (uint64_t)ns >> 7;
    if (v < 128)
        return (int)v;
    int top = 63 - __builtin_clzll(v);
    int b = 128 + (top - 7) * 64 + (int)((v >> (top - 6)) & 63);
    return b < BUCKETS ? b : BUCKETS - 1;
}

static double bucket_us(int b)
{
    if (b < 128)
        return (double)((b + 1) << 7) / 1000;
    int top = (b - 128) / 64 + 7, rest = (b - 128) % 64;
    return (double)((uint64_t)(64 + rest + 1) << (top - 6) << 7) / 1000;
}

static double percentile(uint64_t all, double part)
{
    uint64_t limit = (uint64_t)((double)all * part), seen = 0;
    for (int b = 0; b < BUCKETS; b++)
        if ((seen += histogram[b]) > limit)
            return bucket_us(b);
    return bucket_us(BUCKETS - 1);
}

static double cpu_of(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    unsigned long user = 0, system_time = 0;
    char *p = strrchr(text, ')');
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                     &system_time) != 2)
        fail("reading the server's CPU time");
    return (double)(user + system_time) / (double)sysconf(_SC_CLK_TCK);
}

static void ask(struct connection *c)
{
    c->have = 0;
    c->want = http ? 0 : answer_size;
    c->sent = now();
    if (send(c->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        fail("send");
}

/* take: read what is there; true when the answer is whole. */
static int take(struct connection *c)
{
    char data[65536];
    ssize_t n = recv(c->fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0) {
        errno = n == 0 ? ECONNRESET : errno;
        fail("the server ended a connection");
    }
    if (c->want ==
        0) { /* the head of an HTTP answer: its length is the head's and Content-Length's */
        size_t room =
            sizeof c->head - 1 - (c->have < sizeof c->head - 1 ? c->have : sizeof c->head - 1);
        memcpy(c->head + c->have, data, (size_t)n < room ? (size_t)n : room);
        size_t filled = c->have + ((size_t)n < room ? (size_t)n : room);
        c->head[filled] = 0;
        char *end = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "content-length:");
        if (end && length)
            c->want = (uint32_t)(end + 4 - c->head) + (uint32_t)atoi(length + 15);
    }
    c->have += (uint32_t)n;
    return c->want && c->have >= c->want;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: echo_load PORT CONNECTIONS SECONDS [SERVER_PID] "
                        "[http [PATH] | raw REQUEST SIZE]\n");
        return 2;
    }
    int port = atoi(argv[1]), count = atoi(argv[2]), server = argc > 4 ? atoi(argv[4]) : 0, on = 1;
    double seconds = atof(argv[3]);
    http = argc > 5 && strcmp(argv[5], "raw") != 0;
    if (http) {
        request_size =
            (size_t)snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                             argc > 6 ? argv[6] : "");
    } else if (argc > 7) {
        request_size = (size_t)snprintf(request, sizeof request, "%s", argv[6]);
        answer_size = (uint32_t)atoi(argv[7]);
    } else
        memset(request, 'x', request_size = ECHO_SIZE);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int ep = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
            fail("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event) != 0)
            fail("epoll_ctl");
    }
    for (int i = 0; i < count; i++)
        ask(&connections[i]);

    int64_t begin = now(), measure = begin + (int64_t)(seconds * 2e8),
            end = begin + (int64_t)(seconds * 1e9), at;
    int64_t longest = 0;
    uint64_t done = 0;
    double cpu = 0;
    int measuring = 0;
    while ((at = now()) < end) {
        struct epoll_event events[256];
        int n = epoll_wait(ep, events, 256, 100);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        if (!measuring && at >= measure) {
            measuring = 1;
            measure = at;
            cpu = server ? cpu_of(server) : 0;
        }
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!take(c))
                continue;
            if (measuring) {
                int64_t took = now() - c->sent;
                longest = took > longest ? took : longest;
                histogram[bucket(took)]++;
                done++;
            }
            ask(c);
        }
    }
    if (done == 0) {
        fprintf(stderr, "echo_load: no answer within %.1f s\n", seconds);
        return 1;
    }
    double span = (double)(at - measure) / 1e9;
    printf("requests_per_s %.1f\np50_us %.1f\np99_us %.1f\nlongest_us %.1f\n", (double)done / span,
           percentile(done, 0.5), percentile(done, 0.99), (double)longest / 1000);
    if (server)
        printf("cpu_us_per_request %.3f\n", (cpu_of(server) - cpu) * 1e6 / (double)done);
    printf("requests %llu\n", (unsigned long long)done);
    return 0;
}
