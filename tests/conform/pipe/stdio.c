/* stdio over pipes and sockets in threads: fgets, getline, fread, fprintf wait as they should, lock
 * per stream. */
#include "../t.h"

static void *lines(void *arg)
{
    int *ends = arg;
    FILE *out = fdopen(ends[1], "w");
    for (int i = 0; i < 2000; i++) {
        fprintf(out, "line %d of many\n", i);
        if (i % 100 == 0)
            fflush(out);
    }
    fclose(out);
    return NULL;
}

static FILE *shared_out;
static void *writes(void *arg)
{
    for (int i = 0; i < 500; i++)
        fprintf(shared_out, "%d %d\n", (int)(intptr_t)arg, i);
    return NULL;
}

int main(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int ends[2], n, i = 0;
        char text[100], *line = NULL;
        size_t room = 0;
        if (kind)
            CHECK_OK(pipe(ends));
        else
            t_pair(ends);
        pthread_t thread = t_go(lines, ends);
        FILE *in = fdopen(ends[0], "r");
        while (i % 2 ? getline(&line, &room, in) > 0 : fgets(text, sizeof text, in) != NULL) {
            CHECK_EQ(sscanf(i % 2 ? line : text, "line %d of many\n", &n), 1);
            CHECK_EQ(n, i++);
        }
        CHECK_EQ(i, 2000);
        fclose(in);
        free(line);
        t_join(thread);
    }
    int ends[2], who, n, next[8] = {0};
    CHECK_OK(pipe(ends));
    shared_out = fdopen(ends[1], "w");
    setvbuf(shared_out, NULL, _IOLBF, 0);
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++)
        threads[i] = t_go(writes, (void *)i);
    FILE *in = fdopen(ends[0], "r");
    for (int i = 0; i < 4000; i++) {
        char text[100];
        CHECK(fgets(text, sizeof text, in));
        CHECK_EQ(sscanf(text, "%d %d", &who, &n), 2);
        CHECK_EQ(n, next[who]++);
    }
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    fclose(shared_out);
    return 0;
}
