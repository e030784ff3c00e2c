"""A debugger's view: gdb's backtrace of a thread in an intercepted call goes from the kernel through libc to start_thread."""

import re

from common import Failure, need, until


def run(context):
    need("gdb")
    process = context.start([context.program("deep_wait")])
    until(lambda: "ready" in open(process.log).read(), 10, "deep_wait is ready")
    wanted = ["deep_inner", "deep_outer", "deep_thread", "start_thread"]

    def stack():
        out, _, _ = context.run(["gdb", "-nx", "-batch", "-p", str(process.pid), "-ex", "set debuginfod enabled off",
                                 "-ex", "thread apply all bt"], bound=60, check=False)
        for thread in out.split("\nThread ")[1:]:
            names = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w@.]+)", thread, re.M)
            if "deep_inner" in names:
                return names
        raise Failure("no thread's backtrace reaches deep_inner: %s" % out[-1500:])

    names = stack()
    at = [names.index(n) if n in names else -1 for n in wanted]
    if -1 in at or at != sorted(at):
        raise Failure("the backtrace is %s" % " < ".join(names))
    return {"frames": wanted, "status": context.stop(process)}
