"""What the tests of the command share: the command, its environment, the process with a page."""
import os
import pathlib
import shutil
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 60

tool = library = fakepage = build = None
directory = None  # of the present test
_children = []


class Skip(Exception):
    """The test cannot run here; the text says why."""


def prepare(build_directory, scratch):
    """Find the command, build what the tests need."""
    global tool, library, fakepage, build
    build = build_directory
    tool = next((p for p in (build / "tools/handoff", build / "handoff") if p.exists()), None)
    if not tool:
        raise SystemExit(f"no handoff command in {build}")
    library = scratch / "libempty.so"
    fakepage = scratch / "fakepage"
    source = scratch / "empty.c"
    source.write_text("int handoff_empty;\n")
    compile_c(source, library, "-shared", "-fPIC", "-Wl,-soname,libhandoff.so")
    compile_c(ROOT / "tests/cli/fakepage.c", fakepage, "-std=gnu17", "-O1", f"-I{ROOT}")


def executable(name, content):
    """An executable file of that content, bytes or text, in the tests' directory."""
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755)
    return path


def compile_c(source, output, *flags, compiler=None):
    subprocess.run([compiler or os.environ.get("CC", "cc"), *flags, str(source), "-o", str(output)],
                   check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)


def try_compile(text, name, *flags, compiler=None):
    """A program from C text in the test's directory, or Skip if this machine cannot build it."""
    source = directory / (name + ".c")
    source.write_text(text)
    try:
        compile_c(source, directory / name, *flags, compiler=compiler)
    except FileNotFoundError:
        raise Skip(f"no {compiler}")
    except subprocess.CalledProcessError as error:
        raise Skip(f"cannot build with {' '.join(flags)}: {error.stdout.decode().splitlines()[-1]}")
    return directory / name


def enter(path):
    global directory
    directory = pathlib.Path(path)
    (directory / "runtime").mkdir(mode=0o700)


def leave():
    while _children:
        child = _children.pop()
        if child.poll() is None:
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()


def environment(**changes):
    e = {k: v for k, v in os.environ.items() if not k.startswith("HANDOFF_") and k != "LD_PRELOAD"}
    e["XDG_RUNTIME_DIR"] = str(directory / "runtime")
    e["HANDOFF_LIBRARY"] = str(library)
    for name, value in changes.items():
        e.pop(name, None)
        if value is not None:
            e[name] = str(value)
    return e


def handoff(*arguments, status=0, env=None, user=None, **options):
    """Runs the command; asserts its status; returns (stdout, stderr)."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("stdin", subprocess.DEVNULL)
    if user is not None:
        options.update(user=user, group=user, extra_groups=[])
    done = subprocess.run([str(tool), *map(str, arguments)], timeout=TIMEOUT,
                          env=environment(**(env or {})), **options)
    out = (done.stdout or b"").decode()
    err = (done.stderr or b"").decode()
    if status is not None:
        assert done.returncode == status, \
            f"handoff {' '.join(map(str, arguments))}: status {done.returncode}, not {status}: {out}{err}"
    return out, err


def one_line(err):
    """The complaint: exactly one line that says who speaks."""
    assert err.startswith("handoff: ") and err.count("\n") == 1 and err.endswith("\n"), repr(err)
    return err


class Process:
    """A started command with pipes, killed when the test ends."""

    def __init__(self, *command, env=None, **options):
        self.p = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, env=environment(**(env or {})), **options)
        _children.append(self.p)
        self.pid = self.p.pid

    def line(self):
        return self.p.stdout.readline().decode().rstrip("\n")

    def tell(self, text):
        self.p.stdin.write(text.encode() + b"\n")
        self.p.stdin.flush()

    def end(self):
        self.p.stdin.close()
        return self.p.wait(TIMEOUT)

    def kill(self, number=signal.SIGTERM):
        os.kill(self.pid, number)


class Page(Process):
    """A process with a made-up page, see fakepage.c."""

    def __init__(self, **settings):
        super().__init__(fakepage, *(f"{k}={v}" for k, v in settings.items()))
        assert self.line() == "ready"
        self.path = directory / "runtime/handoff" / str(self.pid)

    def tick(self):
        self.tell("tick")
        assert self.line() == "ok"


def need_root():
    if os.geteuid():
        raise Skip("needs root")


def need(program):
    found = shutil.which(program)
    if not found:
        raise Skip(f"no {program}")
    return found
