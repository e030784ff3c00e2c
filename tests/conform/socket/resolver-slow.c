/* Hundreds of threads in getaddrinfo and gethostbyname_r at once, all of which wait for a name server that answers none
 * before it has heard all - half of them by TCP, since it first says that the answer was cut, others ask for both families at
 * once; each gets its own answer. Where HANDOFF_MAX_WORKERS is set no kernel thread stands for a waiting one. */
/* conform: also HANDOFF_MAX_WORKERS=8 */
#include "../t.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <nss.h>
#include <resolv.h>

enum { COUNT = 200, QUESTIONS = COUNT + COUNT / 4, LARGEST = 512 };

static struct sockaddr_in address;
static int most;

struct question {
    int fd; /* of the connection, or the UDP socket */
    struct sockaddr_in from;
    unsigned char text[LARGEST];
    int size, end; /* of all; of the name, type and class */
};

/* The names are n123.handoff.test; odd ones are looked for by TCP. */
static void *asks(void *arg)
{
    int i = (int)(intptr_t)arg;
    uint32_t want = htonl(0x7f000000u + 256u * (uint32_t)i);
    char name[40];
    snprintf(name, sizeof name, "n%d.handoff.test", i);
    CHECK_OK(res_init()); /* this thread's: only the server here, and no second try before the program is over */
    _res.nscount = 1;
    _res.nsaddr_list[0] = address;
    _res.retrans = 60;
    _res.retry = 1;
    if (i % 4 < 2) {
        struct addrinfo hints = {.ai_family = i % 4 ? AF_INET : AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
        CHECK_OK(getaddrinfo(name, "80", &hints, &list));
        CHECK_EQ(list->ai_family, AF_INET);
        CHECK_EQ(((struct sockaddr_in *)list->ai_addr)->sin_addr.s_addr, want);
        freeaddrinfo(list);
    } else {
        struct hostent entry, *result = NULL;
        char room[2000];
        int error;
        CHECK_OK(gethostbyname_r(name, &entry, room, sizeof room, &result, &error));
        CHECK(result && result->h_length == 4);
        CHECK_OK(memcmp(result->h_addr_list[0], &want, 4));
    }
    res_nclose(&_res);
    return NULL;
}

/* Whose name it is; *six: asked for an address of IPv6. */
static int parse(struct question *q, int *six)
{
    int at = NS_HFIXEDSZ;
    CHECK(q->size > NS_HFIXEDSZ + 6);
    int id = atoi((char *)q->text + at + 2);
    while (q->text[at]) {
        at += q->text[at] + 1;
        CHECK(at + 5 <= q->size);
    }
    q->end = at + 5;
    *six = q->text[at + 2] == ns_t_aaaa;
    CHECK(id >= 0 && id < COUNT);
    return id;
}

/* The answer: the question, with one address, none of IPv6, or the word that it was cut. */
static int answer(const struct question *q, int id, int six, unsigned char *text)
{
    unsigned char record[16] = {0xc0, NS_HFIXEDSZ, 0, ns_t_a, 0, ns_c_in, 0, 0, 0, 60, 0, 4, 127, (unsigned char)(id >> 8),
                                (unsigned char)id, 0};
    memcpy(text, q->text, (size_t)q->end);
    text[2] = (unsigned char)(0x84 | (q->text[2] & 1));
    text[3] = 0x80;
    memset(text + 6, 0, 6);
    if (id % 2 && q->fd < 0) {
        text[2] |= 2; /* TC */
        return q->end;
    }
    if (six)
        return q->end;
    text[7] = 1;
    memcpy(text + q->end, record, sizeof record);
    return q->end + (int)sizeof record;
}

int main(void)
{
    static struct question questions[2 * COUNT];
    static pthread_t threads[COUNT];
    const char *limit = getenv("HANDOFF_MAX_WORKERS");
    socklen_t length;
    unsigned char text[LARGEST + 100], size[2];
    int room = 1 << 20;
    most = limit ? atoi(limit) + 4 : 0;
    int tcp = t_listen(&address, COUNT), udp = socket(AF_INET, SOCK_DGRAM, 0);
    while (bind(udp, (struct sockaddr *)&address, sizeof address) != 0) { /* the same port for both */
        CHECK_EQ(errno, EADDRINUSE);
        close(tcp);
        tcp = t_listen(&address, COUNT);
    }
    t_descriptors(3 * COUNT + 100);
    CHECK_OK(setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room));
    CHECK_OK(__nss_configure_lookup("hosts", "dns"));
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(asks, (void *)i);
    for (int heard = 0, six; heard < QUESTIONS;) { /* odd ones come again, by TCP: answered at once that they should */
        struct question q = {.fd = -1};
        struct pollfd p[2] = {{udp, POLLIN, 0}, {tcp, POLLIN, 0}};
        CHECK_GE(poll(p, 2, -1), 1);
        if (p[1].revents) {
            CHECK((q.fd = accept(tcp, NULL, NULL)) >= 0);
            t_read_all(q.fd, size, 2);
            q.size = size[0] * 256 + size[1];
            CHECK(q.size <= LARGEST);
            t_read_all(q.fd, q.text, (size_t)q.size);
        } else {
            length = sizeof q.from;
            q.size = (int)recvfrom(udp, q.text, LARGEST, 0, (struct sockaddr *)&q.from, &length);
        }
        int id = parse(&q, &six);
        if (id % 2 && q.fd < 0) {
            int n = answer(&q, id, six, text);
            CHECK_EQ(sendto(udp, text, (size_t)n, 0, (struct sockaddr *)&q.from, sizeof q.from), n);
            continue;
        }
        CHECK_EQ(questions[2 * id + six].size, 0);
        questions[2 * id + six] = q;
        heard++;
    }
    if (most) /* all wait now */
        CHECK_GE(most, t_tasks());
    for (int i = 2 * COUNT - 1; i >= 0; i--) {
        struct question *q = &questions[i];
        if (!q->size)
            continue;
        int n = answer(q, i / 2, i % 2, text + 2);
        text[0] = (unsigned char)(n >> 8);
        text[1] = (unsigned char)n;
        if (q->fd < 0) {
            CHECK_EQ(sendto(udp, text + 2, (size_t)n, 0, (struct sockaddr *)&q->from, sizeof q->from), n);
        } else {
            t_write_all(q->fd, text, (size_t)n + 2);
            close(q->fd);
        }
    }
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
