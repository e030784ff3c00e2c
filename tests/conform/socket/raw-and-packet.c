/* Raw and packet sockets where permitted: threads wait in recvmsg, read, poll and epoll_wait for echoes of ICMP that the
 * kernel answers, and on packet sockets for what goes over the loopback; several on one socket; filters, time limits and
 * O_NONBLOCK hold as elsewhere. */
#include "../t.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/epoll.h>

enum { PINGERS = 8, PINGS = 20, WATCHERS = 4 };

static int sixth, packets;
static _Atomic int seen;

static uint16_t sum(const void *data, size_t size)
{
    const uint16_t *word = data;
    uint32_t all = 0;
    for (size_t i = 0; i < size / 2; i++)
        all += word[i];
    all = (all >> 16) + (all & 0xffff);
    return (uint16_t) ~(all + (all >> 16));
}

static void filter(int fd, struct sock_filter *code, size_t n)
{
    struct sock_fprog program = {(unsigned short)n, code};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

/* A raw socket of its own, on which it hears the questions and the answers; without the filter everybody's, and they might not
 * all find room. */
static void *pings(void *arg)
{
    int i = (int)(intptr_t)arg, six = sixth && i % 2;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_RAW, six ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP), ep = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    uint16_t id = (uint16_t)(getpid() * 16 + i);
    size_t head = six ? 0 : sizeof(struct iphdr);
    struct sock_filter own[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)head + 4),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(id), 0, 1), BPF_STMT(BPF_RET | BPF_K, 1000),
                                BPF_STMT(BPF_RET | BPF_K, 0)};
    CHECK(fd >= 0);
    filter(fd, own, sizeof own / sizeof own[0]);
    if (six)
        CHECK_OK(connect(fd, (struct sockaddr *)&to6, sizeof to6));
    else
        CHECK_OK(connect(fd, (struct sockaddr *)&to, sizeof to));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
    for (uint16_t n = 0; n < PINGS; n++) {
        struct icmphdr ask = {.type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO, .un.echo = {id, n}};
        if (!six)
            ask.checksum = sum(&ask, sizeof ask);
        CHECK_EQ(send(fd, &ask, sizeof ask, 0), sizeof ask);
        for (;;) {
            unsigned char text[200];
            struct iovec v = {text, sizeof text};
            struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
            struct pollfd p = {fd, POLLIN, 0};
            ssize_t got = 0;
            if (i % 4 < 2) {
                got = i % 4 ? read(fd, text, sizeof text) : recvmsg(fd, &m, 0);
            } else if ((got = recv(fd, text, sizeof text, MSG_DONTWAIT)) < 0) {
                CHECK_EQ(errno, EAGAIN);
                CHECK_EQ(i % 4 == 2 ? poll(&p, 1, -1) : epoll_wait(ep, &event, 1, -1), 1);
                continue;
            }
            CHECK_GE(got, head + sizeof ask);
            struct icmphdr reply;
            memcpy(&reply, text + head, sizeof reply);
            if (reply.type == (six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) && reply.un.echo.id == id && /* others: before the filter */
                reply.un.echo.sequence == n)
                break;
        }
    }
    close(ep);
    close(fd);
    return NULL;
}

/* Several on one packet socket that lets by what goes to one port only. */
static void *watches(void *arg)
{
    char text[200];
    for (;;) {
        struct sockaddr_ll from;
        socklen_t length = sizeof from;
        struct pollfd p = {packets, POLLIN, 0};
        if ((intptr_t)arg % 2)
            CHECK_EQ(poll(&p, 1, -1), 1);
        ssize_t n = recvfrom(packets, text, sizeof text, 0, (struct sockaddr *)&from, &length);
        CHECK_EQ(n, 20 + 8 + 4);
        CHECK_EQ(from.sll_protocol, htons(ETH_P_IP));
        if (memcmp(text + 28, "end", 4) == 0)
            return arg;
        CHECK_OK(memcmp(text + 28, "data", 4));
        seen++;
    }
}

static void *refused(void *arg)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0); /* no protocol: nothing comes */
    struct timeval tv = {0, 2000};
    char byte;
    CHECK(fd >= 0);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    CHECK_ERR(recv(fd, &byte, 1, 0), EAGAIN);
    CHECK_ERR(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(recv(fd, &byte, 1, 0), EAGAIN);
    close(fd);
    return arg;
}

int main(void)
{
    pthread_t threads[PINGERS], watchers[WATCHERS];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof to;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    unsigned loopback = if_nametoindex("lo");
    if (fd < 0 || !loopback)
        t_skip("no raw sockets here");
    close(fd);
    fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    sixth = fd >= 0 && bind(fd, (struct sockaddr *)&to6, sizeof to6) == 0;
    if (fd >= 0)
        close(fd);
    for (intptr_t i = 0; i < PINGERS; i++)
        threads[i] = t_go(pings, (void *)i);
    for (int i = 0; i < PINGERS; i++)
        t_join(threads[i]);

    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(receiver, (struct sockaddr *)&to, sizeof to));
    CHECK_OK(getsockname(receiver, (struct sockaddr *)&to, &length));
    CHECK_OK(connect(sender, (struct sockaddr *)&to, sizeof to));
    packets = socket(AF_PACKET, SOCK_DGRAM, 0);
    if (packets < 0)
        t_skip("no packet sockets here");
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(to.sin_port), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 1000), BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sockaddr_ll on = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)loopback};
    filter(packets, code, sizeof code / sizeof code[0]);
    CHECK_OK(bind(packets, (struct sockaddr *)&on, sizeof on));
    for (intptr_t i = 0; i < WATCHERS; i++)
        watchers[i] = t_go(watches, (void *)(i & 1));
    t_join(t_go(refused, NULL));
    char text[4];
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(send(sender, "data", 4, 0), 4);
        CHECK_EQ(recv(receiver, text, 4, 0), 4);
        while (seen <= i) /* no more are under way than have room */
            sched_yield();
    }
    CHECK_EQ(seen, 50);
    for (int i = 0; i < WATCHERS; i++)
        CHECK_EQ(send(sender, "end", 4, 0), 4);
    for (int i = 0; i < WATCHERS; i++)
        t_join(watchers[i]);
    return 0;
}
