"""What a part of a suite is, and how one is run: natively or preloaded, in a bounded time, with nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "programs"))

from common import Failure, Skip, free_port, group_members, need  # noqa: E402,F401 (for the suites)

MARK = "SUITES_RUN_ID"


class Part:
    """One program to run; its results are a dict of test: outcome.

    "ok" and every other value that is not "fail" or "skip" count as passing natively: preloaded it must be the same.
    """

    suite = ""
    full = False      # only with --full
    alone = True      # single tests of it can be run again
    threads = True    # makes threads: handoff must be active in it

    def __init__(self, name, seconds):
        self.name, self.seconds = name, seconds

    @property
    def bound(self):
        return 60 + 4 * self.seconds

    def version(self):
        """What the native results depend on, beside the machine."""
        return ""

    def run(self, run, only=None):
        raise NotImplementedError


class Run:
    """One run of one part: where it works, with which environment."""

    def __init__(self, part, lib, build, options=None):
        self.part, self.lib, self.build, self.options = part, lib, build, options or {}
        self.mark = uuid.uuid4().hex
        self.scratch = tempfile.mkdtemp(prefix="handoff-suite-")
        self.mode = "handoff" if lib else "native"

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def environment(self, extra=None):
        drop = ("LD_PRELOAD", "PYTHONPATH", "PYTHONHOME", "PERL5LIB", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS")
        env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith("HANDOFF_")}
        env.update(LC_ALL="C.UTF-8", TMPDIR=self.scratch, HOME=self.scratch)
        env[MARK] = self.mark
        env.update(extra or {})
        if self.lib:
            env["LD_PRELOAD"] = self.lib
            env["HANDOFF_LOG"] = "info"
            env["HANDOFF_LOG_FILE"] = self.path("handoff.%p.log")
            env.update(self.options)
        return env

    def ours(self):
        """Every process that descends from this run, whatever session or group it made for itself."""
        wanted, found = ("%s=%s" % (MARK, self.mark)).encode(), []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/environ" % entry, "rb") as f:
                        if wanted in f.read().split(b"\0"):
                            found.append(int(entry))
                except OSError:
                    pass
        return found

    def command(self, command, extra=None, bound=None):
        """(status, output) of a command that ends by itself."""
        log = self.path("output")
        with open(log, "wb") as out:
            process = subprocess.Popen(command, env=self.environment(extra), cwd=self.scratch, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        bound = bound or self.part.bound
        try:
            status = process.wait(bound)
        except subprocess.TimeoutExpired:
            where = self.look(process.pid, log)
            raise Failure("hangs: no end within %d s (see %s)" % (bound, where))
        finally:
            self.end()
            process.wait()
        with open(log, errors="replace") as f:
            text = f.read()
        self.check_reports(status, text, log)
        return status, text

    def check_reports(self, status, text, log):
        """What handoff itself said; it must be active somewhere, and have nothing to complain of."""
        if not self.lib:
            return
        said = []
        for name in os.listdir(self.scratch):
            if name.startswith("handoff.") and name.endswith(".log"):
                with open(self.path(name), errors="replace") as f:
                    said += f.read().splitlines()
        fatal = [line for line in said if "fatal" in line] + [line for line in text.splitlines() if "handoff: fatal" in line]
        if fatal:
            raise Failure("%s (output: %s)" % (fatal[0], self.keep(log)))
        if self.part.threads and not any("active:" in line for line in said):
            raise Failure("handoff was not active in it: %s" % "; ".join(said[:3]))

    def keep(self, path):
        folder = os.path.join(self.build, "suites-logs")
        os.makedirs(folder, exist_ok=True)
        to = os.path.join(folder, "%s-%s.%s" % (self.part.suite, self.part.name, self.mode))
        shutil.copyfile(path, to)
        return to

    def look(self, group, log):
        """Where the threads of what hangs stand, after its output."""
        kept = self.keep(log)
        with open(kept, "a") as f:
            for pid in sorted(set(group_members(group) + self.ours())):
                for command in (["cat", "/proc/%d/cmdline" % pid], [os.path.join(self.build, "tools", "handoff"), "threads", str(pid)],
                                ["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "set debuginfod enabled off",
                                 "-ex", "thread apply all bt 20"]):
                    try:
                        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                              timeout=40)
                        f.write("\n-- %s\n%s\n" % (" ".join(command[:3]), done.stdout.decode(errors="replace")))
                    except (OSError, subprocess.TimeoutExpired) as e:
                        f.write("\n-- %s: %s\n" % (command[0], e))
        return kept

    def end(self):
        """Nothing of this run is left, or stays."""
        for _ in range(50):
            left = self.ours()
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def close(self):
        self.end()
        subprocess.run(["chmod", "-R", "u+rwx", self.scratch], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.scratch, ignore_errors=True)


def package_version(*names):
    try:
        return subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n"] + list(names), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout
    except OSError:
        return ""


def file_text(path):
    with open(path, errors="replace") as f:
        return f.read()
