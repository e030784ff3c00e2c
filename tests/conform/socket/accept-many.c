/* Several threads in accept on one listener: each connection goes to exactly one of them. */
#include "../t.h"

#define CONNECTIONS 200
static int listener;
static struct sockaddr_in address;
static _Atomic int served[CONNECTIONS];

static void *accepts(void *arg)
{
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        int fd = accept(listener, (struct sockaddr *)&peer, &length), id;
        CHECK(fd >= 0);
        CHECK_EQ(length, sizeof peer);
        CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        t_read_all(fd, &id, sizeof id);
        if (id >= 0)
            served[id]++;
        t_write_all(fd, &id, sizeof id);
        close(fd);
        if (id < 0)
            return arg;
    }
}

static void ask(int id)
{
    int fd = t_connect(&address), answer;
    t_write_all(fd, &id, sizeof id);
    t_read_all(fd, &answer, sizeof answer);
    CHECK_EQ(answer, id);
    close(fd);
}

static void *dials(void *arg)
{
    int first = (int)(intptr_t)arg;
    for (int id = first; id < CONNECTIONS; id += 5)
        ask(id);
    return NULL;
}

int main(void)
{
    pthread_t acceptors[7], dialers[5];
    listener = t_listen(&address, 64);
    for (int i = 0; i < 7; i++)
        acceptors[i] = t_go(accepts, NULL);
    for (intptr_t i = 0; i < 5; i++)
        dialers[i] = t_go(dials, (void *)i);
    for (int i = 0; i < 5; i++)
        t_join(dialers[i]);
    for (int i = 0; i < 7; i++)
        ask(-1);
    for (int i = 0; i < 7; i++)
        t_join(acceptors[i]);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_EQ(served[i], 1);
    return 0;
}
