/* getaddrinfo and getnameinfo of localhost and of numbers, in many threads at once. */
#include "../t.h"
#include <netdb.h>

static void *body(void *arg)
{
    for (int i = 0; i < 10; i++) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
        CHECK_OK(getaddrinfo(i % 2 ? "localhost" : "127.0.0.1", "80", &hints, &list));
        struct sockaddr_in *address = (struct sockaddr_in *)list->ai_addr;
        CHECK_EQ(ntohl(address->sin_addr.s_addr) >> 24, 127);
        CHECK_EQ(ntohs(address->sin_port), 80);
        char host[100];
        CHECK_OK(getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, NULL, 0,
                             NI_NUMERICHOST));
        CHECK_OK(strncmp(host, "127.", 4));
        freeaddrinfo(list);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    return 0;
}
