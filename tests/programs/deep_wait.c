/* A thread deep in calls of its own waits in the kernel (for a child that waits for us): what a debugger is to unwind. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];

__attribute__((noinline)) static void deep_inner(void)
{
    int status;
    while (wait(&status) < 0)
        ;
}

__attribute__((noinline)) static void deep_outer(void)
{
    deep_inner();
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

static void *deep_thread(void *arg)
{
    deep_outer();
    return arg;
}

int main(void)
{
    pthread_t thread;
    char byte;
    if (pipe(ends) != 0)
        return 1;
    if (fork() == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) < 0); /* until our parent ends */
    }
    pthread_create(&thread, NULL, deep_thread, NULL);
    puts("ready");
    fflush(stdout);
    pthread_join(thread, NULL);
    return 0;
}
