/* OpenMP: parallel loops, reductions, critical sections, barriers, tasks, with more threads than
 * processors. */
#include "../t.h"
#include <omp.h>

static long fibonacci(int n)
{
    long a, b;
    if (n < 2)
        return n;
#pragma omp task shared(a) if (n > 10)
    a = fibonacci(n - 1);
#pragma omp task shared(b) if (n > 10)
    b = fibonacci(n - 2);
#pragma omp taskwait
    return a + b;
}

int main(void)
{
    long sum = 0, inside = 0, value = 0;
    int arrived[4] = {0};
    omp_set_num_threads(4);
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < 1000000; i++)
        sum += i;
    CHECK_EQ(sum, 499999500000);
#pragma omp parallel
    {
        for (int i = 0; i < 200; i++) {
#pragma omp critical
            inside++;
        }
        arrived[omp_get_thread_num()] = 1;
#pragma omp barrier
        for (int i = 0; i < omp_get_num_threads(); i++)
            CHECK_EQ(arrived[i], 1);
    }
    CHECK_EQ(inside, 800);
#pragma omp parallel
#pragma omp single
    value = fibonacci(18);
    CHECK_EQ(value, 2584);
    for (int i = 0; i < 100; i++) {
        long part = 0;
#pragma omp parallel for schedule(dynamic, 3) reduction(+ : part)
        for (int k = 0; k < 100; k++)
            part += k;
        CHECK_EQ(part, 4950);
    }
    return 0;
}
