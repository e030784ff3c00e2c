/* A child started from a thread has the environment of its parent, LD_PRELOAD included. */
#include "../t.h"

static void *body(void *arg)
{
    char text[4096] = "";
    const char *want = getenv("LD_PRELOAD");
    FILE *out = popen("printf %s \"$LD_PRELOAD\"", "r");
    CHECK(out);
    if (fgets(text, sizeof text, out) == NULL)
        text[0] = 0;
    CHECK_EQ(pclose(out), 0);
    CHECK_OK(strcmp(text, want ? want : ""));
    return arg;
}

int main(void)
{
    t_join(t_go(body, NULL));
    return 0;
}
