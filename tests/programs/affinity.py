"""The CPUs that a process may use change while it runs: the procs in use follow, and no work stays behind."""

import os
import subprocess
import sys

from common import Failure, Skip, until

SCRIPT = """
import queue, sys, threading
there, back = queue.Queue(), queue.Queue()
def echo():
    while True:
        item = there.get()
        back.put(item)
        if item is None:
            return
threads = [threading.Thread(target=echo) for _ in range(8)]
for t in threads: t.start()
for line in sys.stdin:
    for i in range(2000): there.put(i)
    assert sorted(back.get() for _ in range(2000)) == list(range(2000))
    print("ok", flush=True)
for t in threads: there.put(None)
for t in threads: t.join()
"""


def procs(context, pid):
    return sum(p["state"] != "dead" for p in context.page(pid)["procs"])


def give(pid, cpus):
    """To every kernel thread, as `taskset -a -p` does; new ones inherit it."""
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            os.sched_setaffinity(int(task), cpus)
        except ProcessLookupError:
            pass


def affinity(context):
    cpus = sorted(os.sched_getaffinity(0))[:4]
    if len(cpus) < 2:
        raise Skip("one CPU only")
    environment = {k: v for k, v in context.environment().items() if k != "HANDOFF_PROCS"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)
    context.processes.append(process)

    def round_trip():
        process.stdin.write(b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"ok\n":
            raise Failure("the program ended")

    round_trip()
    for part in (cpus[:1], cpus, cpus[:1], cpus[:2]):
        give(process.pid, part)
        if context.lib:
            def follows():
                round_trip()
                return procs(context, process.pid) == len(part)
            until(follows, 20, "%d procs" % len(part))
        round_trip()
    process.stdin.close()
    if process.wait(20):
        raise Failure("status %d" % process.returncode)
    context.processes.remove(process)
    return {}
