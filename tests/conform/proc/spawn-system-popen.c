/* posix_spawn, system and popen from threads: output, statuses, descriptors; vfork's child runs and
 * leaves the parent whole. */
#include "../t.h"
#include <spawn.h>

extern char **environ;

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    char command[100], text[100];
    pid_t pid;
    for (int i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "exit %d", id + i);
        int status = system(command);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), id + i);

        snprintf(command, sizeof command, "echo one %d; echo two", id);
        FILE *out = popen(command, "r");
        CHECK(out);
        CHECK(fgets(text, sizeof text, out));
        int n;
        CHECK_EQ(sscanf(text, "one %d", &n), 1);
        CHECK_EQ(n, id);
        CHECK(fgets(text, sizeof text, out));
        CHECK_OK(strcmp(text, "two\n"));
        CHECK(!fgets(text, sizeof text, out));
        CHECK_EQ(pclose(out), 0);

        char shell[] = "sh", c[] = "-c", script[] = "read x; exit $x";
        char *args[] = {shell, c, script, NULL};
        int tube[2];
        CHECK_OK(pipe2(tube, O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        CHECK_OK(posix_spawn_file_actions_init(&actions));
        CHECK_OK(posix_spawn_file_actions_adddup2(&actions, tube[0], 0));
        CHECK_OK(posix_spawn(&pid, "/bin/sh", &actions, NULL, args, environ));
        dprintf(tube[1], "%d\n", 50 + id);
        close(tube[0]);
        close(tube[1]);
        t_expect_exit(pid, 50 + id);
        CHECK_OK(posix_spawn_file_actions_destroy(&actions));
        CHECK_EQ(posix_spawn(&pid, "/no/such/file", NULL, NULL, args, environ), ENOENT);

        volatile int local = id;
        pid = vfork();
        CHECK(pid >= 0);
        if (pid == 0) {
            execl("/bin/false", "false", (char *)NULL);
            _exit(99);
        }
        CHECK_EQ(local, id);
        t_expect_exit(pid, 1);
        pid = vfork();
        if (pid == 0)
            _exit(77);
        t_expect_exit(pid, 77);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (intptr_t i = 0; i < 4; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}
