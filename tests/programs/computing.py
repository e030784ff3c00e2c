"""Threads that only compute, beside idle procs: handoff's own threads leave them alone."""

import os
import subprocess
import time

from common import Failure

MOST = 500  # wake-ups of kernel threads a second; there were 1000


def wakes(pid):
    """Voluntary switches of all kernel threads so far."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            pass
    return total


def run(context):
    process = subprocess.Popen([os.path.join(context.build, "tests", "bench", "echo_server"), "2"], stdout=subprocess.PIPE,
                               env=dict(context.environment(), HANDOFF_PROCS="3"), start_new_session=True)
    context.processes.append(process)
    if not process.stdout.readline().startswith(b"port "):
        raise Failure("the server did not start")
    time.sleep(1)
    before, begin = wakes(process.pid), time.monotonic()
    time.sleep(1)
    rate = (wakes(process.pid) - before) / (time.monotonic() - begin)
    process.terminate()
    if process.wait(20):
        raise Failure("status %d" % process.returncode)
    context.processes.remove(process)
    if rate > MOST:
        raise Failure("%.0f wake-ups a second, where nothing happens" % rate)
    return {}
