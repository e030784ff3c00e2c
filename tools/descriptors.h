/* What a descriptor of another process is, for a human: a path, or both ends of a socket. */
#ifndef HANDOFF_DESCRIPTORS_H
#define HANDOFF_DESCRIPTORS_H

#include "tool.h"

struct socket_name {
    uint64_t inode;
    char *text;
};

struct descriptors {
    pid_t pid;
    bool loaded; /* the sockets are read when the first is asked for */
    size_t count, room;
    struct socket_name *sockets; /* by inode */
};

void descriptors_init(struct descriptors *d, pid_t pid);
void descriptors_free(struct descriptors *d);

/* Returns `to`, empty if the descriptor is not open or may not be seen. */
char *descriptor_text(struct descriptors *d, int64_t fd, char *to, size_t size);

#endif
