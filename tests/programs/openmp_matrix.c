/* OpenMP: a matrix product by blocks and a sieve, with more threads than processors; prints
 * checksums. */
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define N 320

int main(void)
{
    static uint32_t a[N][N], b[N][N], c[N][N];
    omp_set_num_threads(8);
#pragma omp parallel for
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            a[i][k] = (uint32_t)(i * 7 + k);
            b[i][k] = (uint32_t)(i ^ (k * 3));
        }
    for (int round = 0; round < 5; round++)
#pragma omp parallel for collapse(2) schedule(dynamic, 16)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                uint32_t sum = 0;
                for (int m = 0; m < N; m++)
                    sum += a[i][m] * b[m][k];
                c[i][k] += sum;
            }
    uint32_t check = 0;
#pragma omp parallel for reduction(+ : check)
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            check += c[i][k] * (uint32_t)(i + 1);
    printf("product %u\n", check);

    enum { LIMIT = 2000000 };
    char *composite = calloc(LIMIT, 1);
    int primes = 0, nested = 0;
    if (!composite)
        return 1;
    for (int p = 2; p * p < LIMIT; p++)
        if (!composite[p])
#pragma omp parallel for
            for (int m = p * p; m < LIMIT; m += p)
                composite[m] = 1;
#pragma omp parallel for reduction(+ : primes) schedule(guided)
    for (int n = 2; n < LIMIT; n++)
        primes += !composite[n];
    printf("primes %d\n", primes);
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(4) reduction(+ : nested)
#pragma omp parallel num_threads(3) reduction(+ : nested)
    nested++;
    printf("nested %d\n", nested);
    free(composite);
    return 0;
}
