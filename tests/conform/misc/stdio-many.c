/* Hundreds of threads in fgets, getline, fread, getc and scanf on pipes and sockets, in popen'd
 * streams, and in getaddrinfo: more than there may be workers, and the main thread feeds them all. Where
 * HANDOFF_MAX_WORKERS is set no kernel thread stands for one that waits. */
/* conform: also HANDOFF_MAX_WORKERS=12 */
#include "../t.h"
#include <netdb.h>

#define COUNT    300
#define CHILDREN 6
static int ends[COUNT][2];
static _Atomic int ended;

static void *reads(void *arg)
{
    int i = (int)(intptr_t)arg, value = -1;
    FILE *f = fdopen(ends[i][0], "r");
    char text[64] = "", *line = NULL;
    size_t room = 0;
    CHECK(f);
    for (int round = 0; round < 2; round++) {
        switch (i % 5) {
        case 0:
            CHECK(fgets(text, sizeof text, f));
            value = atoi(text);
            break;
        case 1:
            CHECK(getline(&line, &room, f) > 0);
            value = atoi(line);
            break;
        case 2:
            CHECK_EQ(fread(text, 1, 7, f), 7);
            value = atoi(text);
            break;
        case 3:
            for (int k = 0; k < 7; k++)
                text[k] = (char)getc(f);
            value = atoi(text);
            break;
        default:
            CHECK_EQ(fscanf(f, "%d", &value), 1);
            if (round == 0)
                CHECK_EQ(getc(f), '\n');
        }
        CHECK_EQ(value, 100000 + i);
    }
    while (getc(f) != EOF)
        ;
    free(line);
    fclose(f);
    ended++;
    return NULL;
}

static void *child(void *arg)
{
    char line[100];
    FILE *f = popen("echo one; read -r never; echo two", "r");
    CHECK(f);
    CHECK(fgets(line, sizeof line, f));
    CHECK_OK(strcmp(line, "one\n"));
    CHECK(fgets(line, sizeof line, f));
    CHECK_OK(strcmp(line, "two\n"));
    CHECK(!fgets(line, sizeof line, f));
    CHECK_EQ(pclose(f), 0);
    return arg;
}

static void *resolves(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct addrinfo *found = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
        CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), 0);
        CHECK(found);
        CHECK_EQ(((struct sockaddr_in *)found->ai_addr)->sin_port, htons(80));
        freeaddrinfo(found);
        struct hostent entry, *result;
        char room[2000];
        int error;
        CHECK_EQ(gethostbyname_r("localhost", &entry, room, sizeof room, &result, &error), 0);
        CHECK(result && result->h_addrtype == AF_INET);
    }
    return arg;
}

int main(void)
{
    static pthread_t threads[COUNT], more[CHILDREN + 4];
    const char *limit = getenv("HANDOFF_MAX_WORKERS");
    t_descriptors(2 * COUNT + 100);
    for (int i = 0; i < COUNT; i++) {
        if (i % 2)
            CHECK_OK(pipe(ends[i]));
        else
            t_pair(ends[i]);
        fcntl(ends[i][1], F_SETFD, FD_CLOEXEC);
        threads[i] = t_go(reads, (void *)(intptr_t)i);
    }
    for (int i = 0; i < CHILDREN; i++)
        more[i] = t_go(child, NULL);
    for (int i = 0; i < 4; i++)
        more[CHILDREN + i] = t_go(resolves, NULL);
    t_settle();
    CHECK_EQ(ended, 0);
    for (int round = 0; round < 2; round++)
        for (int i = COUNT - 1; i >= 0; i--)
            dprintf(ends[i][1], "%d\n", 100000 + i);
    CHECK_EQ(ended, 0);
    if (limit) /* beside the main thread and at most three helpers */
        CHECK_GE(atoi(limit) + 4, t_tasks());
    for (int i = 0; i < COUNT; i++) {
        close(ends[i][1]);
        t_join(threads[i]);
    }
    for (int i = 0; i < CHILDREN + 4; i++)
        t_join(more[i]);
    return 0;
}
