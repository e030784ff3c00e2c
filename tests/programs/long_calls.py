"""Calls that take long without a sleep: a proc taken in some of them does not make all the next give theirs away beforehand."""

import json
import os
import subprocess

from common import Failure

CALLS = 4 * 200


def run(context):
    process = subprocess.Popen([context.program("long_calls")], env=dict(context.environment(), HANDOFF_RETAKE="1ms", HANDOFF_PROCS="1"),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    context.processes.append(process)
    if process.stdout.readline() != b"done\n":
        raise Failure("the program ended with status %s" % process.wait(20))
    if context.lib:
        out = subprocess.run([os.path.join(context.build, "tools", "handoff"), "stat", str(process.pid), "--format=json"],
                             stdout=subprocess.PIPE, check=True).stdout
        counts = json.loads(out)["counters"]
        away = counts["handoffs"]["syscall"]
        context.info.update({"handed off beforehand": away, "retaken": counts["retakes"]["syscall"], "blocking": counts["syscalls"]["blocking"]})
        if counts["syscalls"]["blocking"] > CALLS / 3:
            raise Failure("%s of %s calls were taken for blocking" % (counts["syscalls"]["blocking"], CALLS))
    process.stdin.close()
    if process.wait(20):
        raise Failure("status %d" % process.returncode)
    context.processes.remove(process)
    return {}
