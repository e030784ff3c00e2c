"""Calls that take long without a sleep: a proc taken in some of them does not make all the next give theirs away beforehand."""

from common import Failure

CALLS = 4 * 200


def run(context):
    process = context.until_done("long_calls", HANDOFF_RETAKE="1ms", HANDOFF_PROCS="1")
    if context.lib:
        counts = context.page(process.pid)["counters"]
        blocking = counts["syscalls"]["blocking"]
        context.info.update({"retaken": counts["retakes"]["syscall"], "blocking": blocking})
        if blocking > CALLS / 3:
            raise Failure("%s of %s calls were taken for blocking" % (blocking, CALLS))
    context.ended(process)
    return {}
