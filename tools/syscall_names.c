#include "tool.h"

static const char *const names[] = {
#include "syscall_names.h"
};

const char *syscall_name(uint64_t number)
{
    return number < sizeof names / sizeof names[0] ? names[number] : NULL;
}
