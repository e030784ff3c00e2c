"""Which calls give their proc away beforehand: not those that take long without a sleep, but those of a kind of which some sleep."""

from common import Failure

CALLS = 4 * 200
SLEEPS = 100


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


def seldom_sleeps(context):
    process = context.until_done("seldom_sleeps", HANDOFF_RETAKE="1ms", HANDOFF_PROCS="1")
    if context.lib:
        taken = context.page(process.pid)["counters"]["retakes"]["syscall"]
        context.info.update({"retaken": taken})
        if taken > SLEEPS / 3:
            raise Failure("the proc was taken in %s of %s calls that slept" % (taken, SLEEPS))
    context.ended(process)
    return {}
