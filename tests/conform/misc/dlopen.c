/* dlopen from a thread: the math library's code, an object with its own threads' calls, dlerror per
 * thread. */
#include "../t.h"
#include <dlfcn.h>

static void *body(void *arg)
{
    for (int i = 0; i < 10; i++) {
        void *library = dlopen("libm.so.6", RTLD_NOW);
        CHECK(library);
        double (*cosine)(double);
        void *symbol = dlsym(library, "cos");
        memcpy(&cosine, &symbol, sizeof cosine);
        CHECK(cosine(0) == 1);
        CHECK(!dlopen("/no/such/library.so", RTLD_NOW));
        CHECK(strstr(dlerror(), "/no/such/library.so"));
        CHECK(!dlerror());
        CHECK_OK(dlclose(library));
        void *other = dlopen("libresolv.so.2", RTLD_LAZY | RTLD_LOCAL);
        if (other)
            CHECK_OK(dlclose(other));
    }
    return arg;
}

int main(void)
{
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    return 0;
}
