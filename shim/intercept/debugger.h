/* Tells a debugger of stubs, which no file on disk describes. */
#ifndef HANDOFF_INTERCEPT_DEBUGGER_H
#define HANDOFF_INTERCEPT_DEBUGGER_H

#include "plan.h"

/* From now on a debugger that knows gdb's JIT interface, attached now or later or to a core, names a PC in the block's stubs
 * `handoff_stub` and unwinds from it to the site, at every instruction. Without room for the description it does not: nothing
 * else depends on it. pre: the stubs are written; calls do not run at once. Maps a page or two, for good; no libc. */
void debugger_add(const struct stub_block *block);

#endif
