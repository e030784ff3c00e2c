"""HANDOFF_LOG_FILE: where it cannot be written that is said, once, and what it would have held comes to standard error."""

import os
import subprocess
import sys

from common import Failure

SCRIPT = "import threading; t = threading.Thread(target=print, args=('ran',)); t.start(); t.join()"


def run(context):
    def outcome(name):
        environment = dict(context.environment(), HANDOFF_LOG="debug", HANDOFF_LOG_FILE=os.path.join(context.scratch, name))
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=True, text=True)
        return done.stdout, done.stderr.splitlines()

    os.mkfifo(os.path.join(context.scratch, "fifo"))
    out, lines = outcome("log.%p")
    written = [f for f in os.listdir(context.scratch) if f.startswith("log.")]
    if lines or (context.lib and not written):
        raise Failure("a good file: %s, %s" % (lines, written))
    for name, why in (("no/such", "ENOENT: "), ("fifo", "ENXIO: ")):
        out, lines = outcome(name)
        said = [line for line in lines if "HANDOFF_LOG_FILE=" in line]
        if context.lib and (len(said) != 1 or why not in said[0] or len(lines) < 2):
            raise Failure("%s: %s" % (name, lines))
    return {"out": out}
