/* A thread gives up root: the whole process has, every kernel thread of it included. */
#include "../t.h"
#include <dirent.h>
#include <sys/syscall.h>

static sem_t go;

static void *other(void *arg)
{
    CHECK_OK(sem_wait(&go));
    CHECK_EQ(geteuid(), 65534);
    return arg;
}

static void *drops(void *arg)
{
    CHECK_OK(setresgid(65534, 65534, 65534));
    CHECK_OK(setresuid(65534, 65534, 65534));
    return arg;
}

int main(void)
{
    if (geteuid() != 0)
        t_skip("not root");
    CHECK_OK(sem_init(&go, 0, 0));
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(other, NULL);
    t_settle();
    t_join(t_go(drops, NULL));
    CHECK_EQ(geteuid(), 65534);
    for (int i = 0; i < 8; i++)
        CHECK_OK(sem_post(&go));
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512], line[256];
        unsigned uid[4] = {0}, gid[4] = {0};
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue; /* it ended meanwhile */
        while (fgets(line, sizeof line, f)) {
            sscanf(line, "Uid: %u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]);
            sscanf(line, "Gid: %u %u %u %u", &gid[0], &gid[1], &gid[2], &gid[3]);
        }
        fclose(f);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(uid[i], 65534);
            CHECK_EQ(gid[i], 65534);
        }
    }
    closedir(dir);
    return 0;
}
