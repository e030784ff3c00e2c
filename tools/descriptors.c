#include "descriptors.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void descriptors_init(struct descriptors *d, pid_t pid)
{
    *d = (struct descriptors){.pid = pid};
}

void descriptors_free(struct descriptors *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->sockets[i].text);
    free(d->sockets);
    descriptors_init(d, d->pid);
}

static void add_socket(struct descriptors *d, uint64_t inode, const char *text)
{
    if (!inode)
        return;
    if (d->count == d->room) {
        size_t room = d->room ? 2 * d->room : 256;
        struct socket_name *grown = realloc(d->sockets, room * sizeof *grown);

        if (!grown)
            return;
        d->sockets = grown;
        d->room = room;
    }
    d->sockets[d->count].inode = inode;
    d->sockets[d->count].text = strdup(text);
    d->count += d->sockets[d->count].text != NULL;
}

/* "0100007F:1F90", as /proc/net/tcp writes an address: 32-bit words as the machine has them. */
static bool parse_endpoint(const char *s, char *to, size_t size)
{
    size_t digits = strcspn(s, ":");
    unsigned port;
    uint32_t words[4];
    char address[INET6_ADDRSTRLEN];

    if ((digits != 8 && digits != 32) || sscanf(s + digits, ":%4x", &port) != 1)
        return false;
    for (size_t i = 0; i < digits / 8; i++)
        if (sscanf(s + 8 * i, "%8x", &words[i]) != 1)
            return false;
    if (!inet_ntop(digits == 8 ? AF_INET : AF_INET6, words, address, sizeof address))
        return false;
    snprintf(to, size, digits == 8 ? "%s:%u" : "[%s]:%u", address, port);
    return true;
}

static void add_inet_line(struct descriptors *d, const char *protocol, const char *line)
{
    char local[80], remote[80], from[80], to[80], text[256];
    unsigned state;
    unsigned long long inode;

    if (sscanf(line, " %*s %79s %79s %x %*s %*s %*s %*s %*s %llu", local, remote, &state, &inode) !=
            4 ||
        !parse_endpoint(local, from, sizeof from) || !parse_endpoint(remote, to, sizeof to))
        return;
    if (state == 10 && *protocol == 't') /* TCP_LISTEN */
        snprintf(text, sizeof text, "%s %s, listening", protocol, from);
    else if (strstr(remote, ":0000"))
        snprintf(text, sizeof text, "%s %s", protocol, from);
    else
        snprintf(text, sizeof text, "%s %s -> %s", protocol, from, to);
    add_socket(d, inode, text);
}

static void add_unix_line(struct descriptors *d, const char *line)
{
    unsigned long long inode;
    char path[128], text[160];
    int at = 0;

    if (sscanf(line, "%*s %*s %*s %*s %*s %*s %llu%n", &inode, &at) != 1)
        return;
    line += at + strspn(line + at, " ");
    clean_text(path, sizeof path, line, strcspn(line, "\n"));
    snprintf(text, sizeof text, *path ? "unix %s" : "unix%s", path);
    add_socket(d, inode, text);
}

static int by_inode(const void *a, const void *b)
{
    uint64_t x = ((const struct socket_name *)a)->inode, y = ((const struct socket_name *)b)->inode;

    return x < y ? -1 : x > y;
}

static void load_sockets(struct descriptors *d)
{
    static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6", "unix"};
    char path[64], *line = NULL;
    size_t size = 0;

    d->loaded = true;
    for (unsigned i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)d->pid, tables[i]);
        f = fopen(path, "re");
        if (!f)
            continue;
        while (getline(&line, &size, f) > 0)
            if (tables[i][1] == 'n')
                add_unix_line(d, line);
            else
                add_inet_line(d, tables[i], line);
        fclose(f);
    }
    free(line);
    if (d->count)
        qsort(d->sockets, d->count, sizeof *d->sockets, by_inode);
}

static const char *socket_text(struct descriptors *d, uint64_t inode)
{
    struct socket_name key = {.inode = inode}, *found;

    if (!d->loaded)
        load_sockets(d);
    found = d->count ? bsearch(&key, d->sockets, d->count, sizeof key, by_inode) : NULL;
    return found ? found->text : "socket";
}

char *descriptor_text(struct descriptors *d, int64_t fd, char *to, size_t size)
{
    char path[64], target[512];
    unsigned long long inode;
    ssize_t n;

    *to = 0;
    if (fd < 0 || fd > INT32_MAX)
        return to;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)d->pid, (int)fd);
    n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return to;
    target[n] = 0;
    if (sscanf(target, "socket:[%llu]", &inode) == 1)
        snprintf(to, size, "%s", socket_text(d, inode));
    else if (!strncmp(target, "anon_inode:", 11))
        clean_text(to, size, target + 11, sizeof target - 11);
    else
        clean_text(to, size, target, sizeof target);
    return to;
}
