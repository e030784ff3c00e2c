/* The name of any thread, running or waiting, from any thread, through pthread_setname_np and through /proc; and what
 * else /proc says of a thread's existence. */
#include "../t.h"

static sem_t renamed, done;
static pthread_t main_thread;
static volatile pid_t tids[2];
static volatile int stop;

static void is_called(pthread_t thread, const char *want)
{
    char name[16];
    CHECK_OK(pthread_getname_np(thread, name, sizeof name));
    if (strcmp(name, want))
        t_fail(__FILE__, __LINE__, "\"%s\", not \"%s\"", name, want);
}

static void path_of(char *path, pid_t tid, const char *rest)
{
    sprintf(path, "/proc/self/task/%d%s", (int)tid, rest);
}

static void file_says(pid_t tid, const char *want)
{
    char path[64], text[32] = "", line[32];
    path_of(path, tid, "/comm");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_GE(read(fd, text, sizeof text - 1), 1);
    CHECK_OK(close(fd));
    sprintf(line, "%s\n", want);
    CHECK_OK(strcmp(text, line));
}

static void *parked(void *arg)
{
    tids[0] = gettid();
    CHECK_OK(pthread_setname_np(pthread_self(), "before"));
    CHECK_OK(sem_post(&done));
    CHECK_OK(sem_wait(&renamed));
    is_called(pthread_self(), "parked");
    is_called(main_thread, "the-main-thread");
    CHECK_OK(pthread_setname_np(main_thread, "main-again"));
    is_called(main_thread, "main-again");
    return arg;
}

static void *running(void *arg)
{
    tids[1] = gettid();
    CHECK_OK(sem_post(&done));
    while (!stop)
        ;
    is_called(pthread_self(), "running");
    return arg;
}

/* The thread's state and CPU time, hundredths of a second. */
static char state_of(pid_t tid, const char *name, long *used)
{
    char path[64], text[1024], want[64], state;
    long user, system;
    path_of(path, tid, "/stat");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK_GE(n, 1);
    text[n] = 0;
    CHECK_OK(close(fd));
    sprintf(want, "%d (%s) ", (int)tid, name);
    CHECK_OK(strncmp(text, want, strlen(want)));
    CHECK_EQ(sscanf(text + strlen(want), "%c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &state, &user, &system), 3);
    *used = user + system;
    return state;
}

int main(void)
{
    char path[64], text[64], want[64], name[16];
    main_thread = pthread_self();
    CHECK_OK(sem_init(&renamed, 0, 0));
    CHECK_OK(sem_init(&done, 0, 0));
    pthread_t one = t_go(parked, NULL), two = t_go(running, NULL);
    CHECK_OK(sem_wait(&done));
    CHECK_OK(sem_wait(&done));
    is_called(one, "before");
    CHECK_OK(pthread_setname_np(one, "parked"));
    CHECK_OK(pthread_setname_np(two, "running"));
    is_called(one, "parked");
    is_called(two, "running");
    file_says(tids[0], "parked");
    file_says(tids[1], "running");
    long used;
    while (state_of(tids[0], "parked", &used) != 'S')
        sched_yield();
    CHECK(used < 20);
    do
        CHECK_EQ(state_of(tids[1], "running", &used), 'R');
    while (used < 2);
    CHECK_EQ(pthread_setname_np(one, "far-too-long-a-name"), ERANGE);

    /* By hand, as a shell would; cut off like the kernel's. */
    path_of(path, tids[1], "/comm");
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "a-name-longer-than-fits", 23), 23);
    CHECK_OK(close(fd));
    file_says(tids[1], "a-name-longer-t");
    CHECK_OK(pthread_setname_np(two, "running"));

    CHECK_OK(pthread_setname_np(pthread_self(), "the-main-thread"));
    file_says(getpid(), "the-main-thread");
    fd = open("/proc/self/comm", O_RDONLY);
    CHECK_EQ(read(fd, text, sizeof text), 16);
    CHECK_OK(memcmp(text, "the-main-thread\n", 16));
    CHECK_OK(close(fd));

    /* The threads are there. */
    struct stat st;
    for (int i = 0; i < 2; i++) {
        path_of(path, tids[i], "");
        CHECK_OK(access(path, F_OK));
        CHECK_OK(stat(path, &st));
        CHECK(S_ISDIR(st.st_mode));
        path_of(path, tids[i], "/status");
        CHECK_OK(access(path, R_OK));
        fd = open(path, O_RDONLY);
        CHECK(fd >= 0);
        CHECK_GE(read(fd, text, sizeof text), 1);
        CHECK_OK(close(fd));
    }
    path_of(path, tids[0], "/nothing-there");
    CHECK_ERR(access(path, F_OK), ENOENT);
    path_of(path, getpid(), "/nothing-there"); /* main's own, on whatever kernel thread it is */
    CHECK_ERR(access(path, F_OK), ENOENT);
    CHECK_ERR(readlink(path, text, sizeof text), ENOENT);
    CHECK_ERR(access("/proc/thread-self/nothing-there", F_OK), ENOENT);
    ssize_t n = readlink("/proc/thread-self", text, sizeof text - 1);
    CHECK_GE(n, 1);
    text[n] = 0;
    sprintf(want, "%d/task/%d", (int)getpid(), (int)gettid());
    CHECK_OK(strcmp(text, want));
    CHECK_OK(access("/proc/thread-self/stat", R_OK));

    stop = 1;
    CHECK_OK(sem_post(&renamed));
    t_join(one);
    t_join(two);
    CHECK_OK(pthread_getname_np(pthread_self(), name, sizeof name));
    CHECK_OK(strcmp(name, "main-again"));
    path_of(path, tids[0], "/comm");
    while ((fd = open(path, O_RDONLY)) >= 0) { /* the kernel may take a moment after the join */
        CHECK_OK(close(fd));
        sched_yield();
    }
    CHECK_EQ(errno, ENOENT);
    path_of(path, tids[0], "");
    while (access(path, F_OK) == 0)
        sched_yield();
    CHECK_EQ(errno, ENOENT);
    return 0;
}
