"""A descriptor once waited for in a read, then given to an event loop: its edges there must not go on waking the poller."""

import json
import os
import subprocess

from common import Failure


def run(context):
    process = subprocess.Popen([context.program("loops")], env=context.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               start_new_session=True)
    context.processes.append(process)
    if process.stdout.readline() != b"done\n":
        raise Failure("the program ended with status %s" % process.wait(20))
    if context.lib:
        out = subprocess.run([os.path.join(context.build, "tools", "handoff"), "stat", str(process.pid), "--format=json"],
                             stdout=subprocess.PIPE, check=True).stdout
        counts = json.loads(out)["counters"]["netpoll"]
        context.info.update(counts)
        if counts.get("drops", 0) < 1 or counts["registrations"] < 3:  # two ends, and one of them again
            raise Failure("the poller goes on watching what an event loop has: %s" % counts)
    process.stdin.close()
    if process.wait(20):
        raise Failure("status %d" % process.returncode)
    context.processes.remove(process)
    return {}
