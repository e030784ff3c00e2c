/* Every family that may be there, sending and receiving in waiting threads: UDP over IPv4 and IPv6,
 * unix datagrams and packets, netlink (the kernel's answers, and between sockets), raw and packet
 * sockets where permitted. */
#include "../t.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/ip.h>

#define COUNT 300
struct channel {
    int in, out;
    size_t skip; /* header before the data, as received */
    int reliable;
    _Atomic int asked; /* unreliable ones: as many as the receiver is ready for */
};

static void *receives(void *arg)
{
    struct channel *c = arg;
    for (uint32_t i = 0; i < COUNT; i++) {
        unsigned char text[200];
        c->asked = (int)i + 1;
        ssize_t n = recv(c->in, text, sizeof text, 0);
        CHECK_EQ(n, c->skip + 8);
        uint32_t got;
        memcpy(&got, text + c->skip, 4);
        if (got != (uint32_t)getpid()) { /* raw sockets see everybody's */
            CHECK(c->skip > 0);
            i--;
            continue;
        }
        memcpy(&got, text + c->skip + 4, 4);
        CHECK_EQ(got, i);
    }
    return NULL;
}

static void *sends(void *arg)
{
    struct channel *c = arg;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t words[2] = {(uint32_t)getpid(), i};
        while (!c->reliable && c->asked < (int)i - 10)
            sched_yield();
        CHECK_EQ(send(c->out, words, 8, 0), 8);
    }
    return NULL;
}

static int udp(int family, struct channel *c)
{
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET)
        ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
    c->in = socket(family, SOCK_DGRAM, 0);
    if (c->in < 0 || bind(c->in, (struct sockaddr *)&a, length) != 0)
        return 0;
    CHECK_OK(getsockname(c->in, (struct sockaddr *)&a, &length));
    CHECK((c->out = socket(family, SOCK_DGRAM, 0)) >= 0);
    CHECK_OK(connect(c->out, (struct sockaddr *)&a, length));
    return 1;
}

static int netlink(struct channel *c)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t length = sizeof a;
    c->in = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
    c->out = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
    if (c->in < 0 || c->out < 0 || bind(c->in, (struct sockaddr *)&a, sizeof a) != 0)
        return 0;
    CHECK_OK(getsockname(c->in, (struct sockaddr *)&a, &length));
    CHECK_OK(connect(c->out, (struct sockaddr *)&a, sizeof a));
    c->reliable = 1; /* it waits for room */
    return 1;
}

static int raw(struct channel *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->in = socket(AF_INET, SOCK_RAW, 253); /* for experiments */
    c->out = socket(AF_INET, SOCK_RAW, 253);
    if (c->in < 0 || c->out < 0)
        return 0;
    CHECK_OK(connect(c->in, (struct sockaddr *)&a, sizeof a));
    CHECK_OK(connect(c->out, (struct sockaddr *)&a, sizeof a));
    CHECK_OK(shutdown(c->out, SHUT_RD));
    c->skip = sizeof(struct iphdr);
    return 1;
}

/* Dumps of the links, asked for and received in several threads, each with its own socket. */
static void *links(void *arg)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), found = 0;
    if (fd < 0)
        return arg;
    for (int i = 0; i < 5; i++) {
        struct {
            struct nlmsghdr h;
            struct rtgenmsg g;
        } ask = {{.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
                  .nlmsg_type = RTM_GETLINK,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                  .nlmsg_seq = (uint32_t)i + 1},
                 {AF_UNSPEC}};
        CHECK_EQ(send(fd, &ask, ask.h.nlmsg_len, 0), ask.h.nlmsg_len);
        for (int done = 0; !done;) {
            static __thread char text[32768] __attribute__((aligned(8)));
            ssize_t n = recv(fd, text, sizeof text, 0);
            CHECK(n > 0);
            size_t left = (size_t)n;
            for (struct nlmsghdr *h = (struct nlmsghdr *)text; NLMSG_OK(h, left);
                 h = NLMSG_NEXT(h, left)) {
                CHECK_EQ(h->nlmsg_seq, i + 1);
                found += h->nlmsg_type == RTM_NEWLINK;
                done |= h->nlmsg_type == NLMSG_DONE;
            }
        }
    }
    CHECK(found >= 5);
    close(fd);
    return NULL;
}

int main(void)
{
    static struct channel channels[6];
    pthread_t threads[20];
    int ends[2], n = 0, started = 0;
    for (int type = 0; type < 2; type++) {
        CHECK_OK(socketpair(AF_UNIX, type ? SOCK_SEQPACKET : SOCK_DGRAM, 0, ends));
        channels[n++] = (struct channel){.in = ends[0], .out = ends[1], .reliable = 1};
    }
    n += udp(AF_INET, &channels[n]);
    n += udp(AF_INET6, &channels[n]);
    n += netlink(&channels[n]);
    n += raw(&channels[n]);
    for (int i = 0; i < n; i++)
        threads[started++] = t_go(receives, &channels[i]);
    t_settle();
    for (int i = 0; i < n; i++)
        threads[started++] = t_go(sends, &channels[i]);
    for (int i = 0; i < 4; i++)
        threads[started++] = t_go(links, NULL);
    for (int i = 0; i < started; i++)
        t_join(threads[i]);
    int packet = socket(AF_PACKET, SOCK_DGRAM, 0); /* nothing comes: it waits its time out */
    if (packet >= 0) {
        struct timeval tv = {0, 2000};
        char byte;
        CHECK_OK(setsockopt(packet, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        CHECK_ERR(recv(packet, &byte, 1, 0), EAGAIN);
    }
    return 0;
}
