/* Reading the statistics page (shim/stats/page.h) of another process.
 *
 * The page is read with pread, never mapped: whatever is done to the file meanwhile, nothing can
 * fault, and an open page stays readable after its process removed it. What is read is hostile:
 * page_open checks that every array lies in the file and bounds the counts in `h`; strings are
 * terminated but not clean; states, indices and times are to be checked where they are used.
 */
#ifndef HANDOFF_PAGE_READER_H
#define HANDOFF_PAGE_READER_H

#include "shim/stats/page.h"
#include "tool.h"

#include <limits.h>

struct page {
    int fd;
    char path[PATH_MAX];
    uint64_t file_size;
    struct stats_header h; /* our copy; counts bounded */
};

/* The most directories that pages are looked for in. */
enum { PAGE_DIRECTORIES = 64 };

struct page_directories {
    unsigned count;
    char path[PAGE_DIRECTORIES][128];
};

/* The directories in which pages of live processes may be found: ours, and for root everyone's. */
void page_list_directories(struct page_directories *d);

/* Opens and checks the page of the live process `p`. On failure a line for the user in `why`:
 * -ENOENT it has none · -EACCES · -ESTALE the file is another process's · -EPROTO damaged or of
 * another version. */
int page_open(struct page *page, const struct process *p, char *why, size_t size);

/* The same for a path, whosever it is. */
int page_open_path(struct page *page, const char *path, char *why, size_t size);

/* Reads the header again. */
int page_refresh(struct page *page, char *why, size_t size);

void page_close(struct page *page);

/* Entries [first, first + count) of an array into `out`; how many there were (fewer at the end).
 * procs: nprocs_max + 1, the last being the shared set; workers, uthreads: up to the hwm. */
unsigned page_procs(const struct page *page, unsigned first, unsigned count,
                    struct stats_proc *out);
unsigned page_workers(const struct page *page, unsigned first, unsigned count,
                      struct stats_worker *out);
unsigned page_uthreads(const struct page *page, unsigned first, unsigned count,
                       struct stats_uthread *out);

/* How long before `now`, in ns, the page's TSC value was; 0 for later or if the page cannot tell.
 */
uint64_t page_age(const struct page *page, uint64_t tsc, uint64_t now);
uint64_t page_now(void); /* TSC */

/* Names of the page's enums, lower case; "?" for what is not one. */
const char *page_state_name(unsigned state);
const char *proc_state_name(unsigned state);
const char *worker_state_name(unsigned state);
const char *uthread_state_name(unsigned state);

enum {
    PROC_STATES = PROC_DEAD + 1,
    WORKER_STATES = WORKER_SLEEP + 1,
    UTHREAD_STATES = UTHREAD_EXITING + 1
};

#endif
