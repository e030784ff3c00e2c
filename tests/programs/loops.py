"""A descriptor once waited for in a read, then given to an event loop: its edges there must not go on waking the poller."""

from common import Failure


def run(context):
    process = context.until_done("loops")
    if context.lib:
        counts = context.page(process.pid)["counters"]["netpoll"]
        context.info.update(counts)
        if counts.get("drops", 0) < 1 or counts["registrations"] < 3:  # two ends, and one of them again
            raise Failure("the poller goes on watching what an event loop has: %s" % counts)
    context.ended(process)
    return {}
