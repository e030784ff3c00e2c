"""What the program tests share: starting and stopping programs, ports, clients, checks."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time


class Failure(Exception):
    """The program did not do what it does natively."""


class Skip(Exception):
    """The test cannot run here."""


def need(*commands):
    for command in commands:
        if not shutil.which(command):
            raise Skip("%s is not installed (tools/deps installs it)" % command)


def group_members(group):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if int(fields[2]) == group and fields[0] != "Z":
                    found.append(int(entry))
            except (OSError, IndexError, ValueError):
                pass
    return found


def until(true, seconds, what):
    """Wait for a condition of another process; there is nothing to be woken by."""
    limit = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > limit:
            raise Failure("%s: not within %d s" % (what, seconds))
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def together(count, body):
    """body(index) in `count` threads; the first exception is raised here."""
    errors = []

    def run(index):
        try:
            body(index)
        except Exception as e:  # told to the test below
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        if t.is_alive():
            raise Failure("a client got no answer within 60 s")
    if errors:
        raise Failure("%d of %d clients failed; the first: %r" % (len(errors), count, errors[0]))


class Context:
    """One run of a test: native (lib None) or preloaded."""

    def __init__(self, lib, build, scratch, options):
        self.lib, self.build, self.scratch, self.options = lib, build, scratch, options
        self.processes = []
        self.info = {}

    @property
    def mode(self):
        return "handoff" if self.lib else "native"

    def environment(self, preload=True):
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        env["LC_ALL"] = "C"
        if preload and self.lib:
            env["LD_PRELOAD"] = self.lib
            env.update(self.options)
        return env

    def path(self, name):
        return os.path.join(self.scratch, name)

    def program(self, name):
        return os.path.join(self.build, "tests", "programs", name)

    def start(self, command, **options):
        """A server, in a process group of its own, under handoff if this run is; its output goes to a file."""
        log = open(self.path("%s.log" % os.path.basename(command[0])), "ab")
        process = subprocess.Popen(command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True, **options)
        log.close()
        process.log = self.path("%s.log" % os.path.basename(command[0]))
        self.processes.append(process)
        return process

    def until_done(self, name, **options):
        """A program of ours that prints "done" and ends with its standard input: at that point."""
        process = subprocess.Popen([self.program(name)], env=dict(self.environment(), **options), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        if process.stdout.readline() != b"done\n":
            raise Failure("the program ended with status %s" % process.wait(20))
        return process

    def ended(self, process):
        """Its standard input ends, and so does it, with status 0."""
        process.stdin.close()
        if process.wait(20):
            raise Failure("status %d" % process.returncode)
        self.processes.remove(process)

    def page(self, pid):
        """What handoff stat tells of it."""
        return json.loads(subprocess.run([os.path.join(self.build, "tools", "handoff"), "stat", str(pid), "--format=json"],
                                         stdout=subprocess.PIPE, check=True).stdout)

    def run(self, command, preload=False, bound=120, check=True, **options):
        """A command that ends by itself, as a client natively."""
        process = subprocess.Popen(command, env=self.environment(preload), stdin=options.pop("stdin", subprocess.DEVNULL),
                                   stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                                   start_new_session=True, **options)
        self.processes.append(process)
        try:
            out, err = process.communicate(timeout=bound)
        except subprocess.TimeoutExpired:
            raise Failure("%s: no end within %d s%s" % (command[0], bound, self.look(process)))
        self.processes.remove(process)
        if check and process.returncode != 0:
            raise Failure("%s: status %d: %s" % (command[0], process.returncode, (err or b"").decode(errors="replace")[-300:]))
        return (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"), process.returncode

    def wait_port(self, process, port, seconds=30):
        def ready():
            if process.poll() is not None:
                raise Failure("%s ended at start, status %d: %s" % (process.args[0], process.returncode, self.tail(process)))
            return listening(port)

        until(ready, seconds, "%s listens" % process.args[0])

    def tail(self, process):
        try:
            with open(process.log, errors="replace") as f:
                return " / ".join(f.read().strip().splitlines()[-4:])[-500:]
        except OSError:
            return ""

    def check_active(self, process):
        """Under handoff, the program must really run on it: what handoff says of this process, or one of its children."""
        tool = os.path.join(self.build, "tools", "handoff")
        if not self.lib or not os.access(tool, os.X_OK):
            return
        texts = []
        for pid in group_members(process.pid):
            done = subprocess.run([tool, "stat", str(pid), "--format=json"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=20)
            texts.append(done.stdout.decode(errors="replace").strip()[:200])
            if done.returncode == 0:
                try:
                    json.loads(done.stdout)
                    return
                except ValueError:
                    pass
        raise Failure("handoff is not active in it: %s" % "; ".join(texts))

    def kernel_threads(self, process):
        return sum(len(os.listdir("/proc/%d/task" % pid)) for pid in group_members(process.pid)
                   if os.path.isdir("/proc/%d/task" % pid))

    def descriptors(self, process):
        """How many descriptors below 10000 the process has (handoff's own sit above)."""
        return sum(1 for fd in os.listdir("/proc/%d/fd" % process.pid) if int(fd) < 10000)

    def stop(self, process, seconds=30, number=signal.SIGTERM):
        """SIGTERM; the exit status; nothing may be left of its group."""
        if process.poll() is not None:
            raise Failure("%s had ended before it was told to, status %d: %s" % (
                process.args[0], process.returncode, self.tail(process)))
        process.send_signal(number)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end within %d s of signal %d%s" % (process.args[0], seconds, number, self.look(process)))
        until(lambda: not group_members(process.pid), 5, "all processes of %s have ended" % process.args[0])
        self.processes.remove(process)
        return status

    def look(self, process):
        """Where the threads of a hung program stand, kept in a file."""
        path = os.path.join(self.build, "programs-logs")
        os.makedirs(path, exist_ok=True)
        path = os.path.join(path, "%s.%d" % (os.path.basename(process.args[0]), process.pid))
        with open(path, "w") as f:
            for pid in group_members(process.pid):
                for command in ([os.path.join(self.build, "tools", "handoff"), "threads", str(pid)],
                                ["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "set debuginfod enabled off",
                                 "-ex", "thread apply all bt 20"]):
                    try:
                        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                              stderr=subprocess.STDOUT, timeout=40)
                        f.write("-- %s\n%s\n" % (" ".join(command[:3]), done.stdout.decode(errors="replace")))
                    except (OSError, subprocess.TimeoutExpired) as e:
                        f.write("-- %s: %s\n" % (command[0], e))
        return " (see %s)" % path

    def end_all(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.processes = []


def data_file(path, size):
    """Compressible, reproducible text."""
    import random
    generator = random.Random(11)
    words = [bytes(generator.choices(range(97, 123), k=generator.randint(2, 9))) for _ in range(3000)]
    with open(path, "wb") as f:
        while f.tell() < size:
            f.write(b" ".join(generator.choices(words, k=20000)) + b"\n")
