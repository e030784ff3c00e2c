"""Many threads in file I/O with few workers allowed: the program ends, its kernel threads stay few, and the statistics tell that user threads
had to wait for one."""

import json
import os
import subprocess
import time

from common import Failure, Skip

LIMIT = 8


def run(context):
    program = os.path.join(context.build, "tests", "conform", "misc-files-64")
    tool = os.path.join(context.build, "tools", "handoff")
    if not os.access(program, os.X_OK) or not os.access(tool, os.X_OK):
        raise Skip("misc-files-64 or handoff was not built")
    context.options = dict(context.options, HANDOFF_MAX_WORKERS=str(LIMIT))
    os.environ["T_BOUND"] = "0"
    process = context.start([program, "150"], cwd=context.scratch)
    most_live = most_tasks = limited = samples = 0
    begin = time.monotonic()
    while process.poll() is None:
        if time.monotonic() - begin > 60:
            raise Failure("no end within 60 s%s" % context.look(process))
        if context.lib:
            done = subprocess.run([tool, "stat", str(process.pid), "--format=json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  timeout=20)
            try:
                most_tasks = max(most_tasks, context.kernel_threads(process))
                page = json.loads(done.stdout)
            except (ValueError, OSError):  # just starting, or just ended
                continue
            if page.get("state") == "active":
                samples += 1
                most_live = max(most_live, page["workers_live"])
                limited = max(limited, page["counters"]["workers"]["limit"])
        time.sleep(0.02)
    if process.returncode != 0:
        raise Failure("status %d: %s" % (process.returncode, context.tail(process)))
    context.processes.remove(process)
    if context.lib:
        context.info.update({"workers": most_live, "kernel threads": most_tasks, "waits for a worker": limited})
        if samples < 3:
            raise Failure("the program ran too short to look at: %d samples" % samples)
        if most_live > LIMIT + 1:  # and the main thread's own
            raise Failure("%d workers with HANDOFF_MAX_WORKERS=%d" % (most_live, LIMIT))
        if most_tasks > LIMIT + 1 + 3:  # helpers
            raise Failure("%d kernel threads with HANDOFF_MAX_WORKERS=%d" % (most_tasks, LIMIT))
        if limited == 0:
            raise Failure("the statistics do not tell that user threads waited for a worker")
    return {"status": process.returncode}
