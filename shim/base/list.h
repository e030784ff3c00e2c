/* Doubly linked lists of waiters: a list has `head` and `tail`, an element `prev` and `next`. Under the list's own lock; whether
 * the head is NULL may be read without. */
#ifndef HANDOFF_BASE_LIST_H
#define HANDOFF_BASE_LIST_H

#include "atomic.h"

#define list_append(list, element)                  \
    do {                                            \
        (element)->next = NULL;                     \
        (element)->prev = (list)->tail;             \
        if ((list)->tail)                           \
            (list)->tail->next = (element);         \
        else                                        \
            store_relaxed(&(list)->head, (element)); \
        (list)->tail = (element);                   \
    } while (0)

#define list_prepend(list, element)                  \
    do {                                             \
        (element)->prev = NULL;                      \
        (element)->next = (list)->head;              \
        if ((list)->head)                            \
            (list)->head->prev = (element);          \
        else                                         \
            (list)->tail = (element);                \
        store_relaxed(&(list)->head, (element));     \
    } while (0)

#define list_remove(list, element)                          \
    do {                                                    \
        if ((element)->prev)                                \
            (element)->prev->next = (element)->next;        \
        else                                                \
            store_relaxed(&(list)->head, (element)->next);  \
        if ((element)->next)                                \
            (element)->next->prev = (element)->prev;        \
        else                                                \
            (list)->tail = (element)->prev;                 \
    } while (0)

#endif
