/* What kernel threads run as. */
#include <dirent.h>

/* Every kernel thread of the process has all user and group ids the same: id. */
static void t_all_run_as(unsigned id)
{
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
            CHECK_EQ(uid[i], id);
            CHECK_EQ(gid[i], id);
        }
    }
    closedir(dir);
}
