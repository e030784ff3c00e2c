"""handoff run: the command's own pid, status, signals and descriptors; its library and options."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import support
from support import Process, handoff, one_line

SHOW = "echo $$; echo $LD_PRELOAD; env | grep ^HANDOFF_ | sort; exit 7"


def test_becomes_the_command():
    p = Process(support.tool, "run", "sh", "-c", SHOW)
    assert p.line() == str(p.pid)
    assert p.line() == str(support.library)
    assert p.end() == 7


def test_status_of_the_command():
    handoff("run", "true")
    handoff("run", "false", status=1)
    handoff("run", "--", "sh", "-c", "exit 200", status=200)
    handoff("run", "sh", "-c", "kill -TERM $$", status=-signal.SIGTERM)


def test_options_end_at_the_command():
    out, _ = handoff("run", "echo", "-o", "PROCS=2", "--stats")
    assert out == "-o PROCS=2 --stats\n"


def test_library_goes_in_front_of_ld_preload():
    other = support.directory / "other.so"
    support.compile_c(support.library.parent / "empty.c", other, "-shared", "-fPIC")
    out, _ = handoff("run", "sh", "-c", "echo $LD_PRELOAD", env={"LD_PRELOAD": f"{other}"})
    assert out.strip() == f"{support.library}:{other}"


def test_nested_runs_name_the_library_once():
    out, _ = handoff("run", support.tool, "run", "sh", "-c", "echo $LD_PRELOAD")
    assert out.strip() == str(support.library)


def test_relative_library_becomes_absolute():
    out, _ = handoff("run", "sh", "-c", "echo $LD_PRELOAD", cwd=support.library.parent,
                     env={"HANDOFF_LIBRARY": support.library.name})
    assert out.strip() == str(support.library)


def test_options_reach_the_environment():
    out, _ = handoff("run", "-o", "procs=3", "-oHANDOFF_RETAKE=50us", "--option=LOG=debug", "sh",
                     "-c", SHOW, status=7)
    assert "HANDOFF_PROCS=3\nHANDOFF_RETAKE=50us\n" in out and "HANDOFF_LOG=debug\n" in out


def test_bad_options_are_refused():
    _, err = handoff("run", "-o", "PROCS=abc", "true", status=125)
    assert one_line(err) == "handoff: HANDOFF_PROCS=abc: not a number; allowed: auto, 1..1024\n"
    _, err = handoff("run", "-o", "PROC=3", "true", status=125)
    assert one_line(err) == "handoff: HANDOFF_PROC: unknown; did you mean HANDOFF_PROCS?\n"
    one_line(handoff("run", "-o", "PROCS", "true", status=125)[1])
    one_line(handoff("run", "-o", status=125)[1])


def test_commands_that_cannot_run():
    directory = support.directory
    (directory / "plain").write_text("true\n")
    (directory / "orphan").write_text("#!/no/such/interpreter\n")
    (directory / "orphan").chmod(0o755)
    for flags in ([], ["--stats"]):
        one_line(handoff("run", *flags, "no-such-command", status=127)[1])
        one_line(handoff("run", *flags, "/no/such/file", status=127)[1])
        one_line(handoff("run", *flags, "", status=127)[1])
        one_line(handoff("run", *flags, directory, status=126)[1])
        one_line(handoff("run", *flags, directory / "plain", status=126)[1])
        _, err = handoff("run", *flags, directory / "orphan", status=127)
        assert "/no/such/interpreter" in one_line(err)


def test_a_damaged_program_is_not_read_as_shell_commands():
    true = pathlib.Path(shutil.which("true")).read_bytes()
    cut = support.executable("cut", true[:100] + b"\necho read by sh\n")
    relocatable = support.executable("object", true[:16] + b"\1\0" + true[18:] + b"\necho read by sh\n")
    arm = support.executable("arm", true[:18] + b"\xb7\0" + true[20:])
    behind = support.executable("behind", f"#!{cut}\necho read by sh\n".encode())
    for flags in ([], ["--stats"]):
        for path, why in ((cut, "truncated"), (relocatable, "not a program"),
                          (arm, "another machine"), (behind, "truncated")):
            out, err = handoff("run", *flags, "--", path, status=126)
            assert not out and why in one_line(err), (out, err)
            last = handoff("check", path, status=None)[0].splitlines()[-1]
            assert last.endswith(err[len("handoff: "):].rstrip()), (last, err)
        _, err = handoff("run", *flags, "cut", status=126, env={"PATH": support.directory})
        assert "truncated" in one_line(err)


def test_a_script_without_a_first_line_is_read_by_sh():
    support.executable("script", b"echo read by sh $1\nexit 5\n")
    support.executable("empty", b"")
    for flags in ([], ["--stats"]):
        env = {"PATH": f"{support.directory}:{os.environ['PATH']}"}
        out, _ = handoff("run", *flags, "script", "x", status=5, env=env)
        assert out == "read by sh x\n"
        handoff("run", *flags, support.directory / "empty")


def test_a_missing_library_is_said():
    _, err = handoff("run", "true", status=125, env={"HANDOFF_LIBRARY": "/no/such.so"})
    assert "/no/such.so" in one_line(err)


def test_a_library_path_that_ld_preload_cannot_hold():
    place = support.directory / "a b"
    place.mkdir()
    (place / "x.so").write_bytes(support.library.read_bytes())
    _, err = handoff("run", "true", status=125, env={"HANDOFF_LIBRARY": place / "x.so"})
    assert "LD_PRELOAD cannot hold" in one_line(err)


def test_a_library_that_is_none_of_handoffs_is_said():
    other = support.directory / "other.so"
    support.compile_c(support.library.parent / "empty.c", other, "-shared", "-fPIC")
    cut = support.directory / "cut.so"
    cut.write_bytes(support.library.read_bytes()[:200])
    for path, why in ((other, "not libhandoff.so"), (cut, "truncated"),
                      ("/etc/passwd", "not a shared library"), ("/", "directory"),
                      (shutil.which("true"), "not libhandoff.so")):
        for flags in ([], ["--stats"]):
            out, err = handoff("run", *flags, "echo", status=125, env={"HANDOFF_LIBRARY": path})
            assert not out and why in one_line(err), err


def test_library_beside_the_build():
    if not (support.build / "shim/libhandoff.so").exists():
        raise support.Skip("libhandoff.so is not built")
    out, _ = handoff("run", "sh", "-c", "echo $LD_PRELOAD", env={"HANDOFF_LIBRARY": None})
    assert out.strip() == str((support.build / "shim/libhandoff.so").resolve())


def test_programs_the_library_would_disturb_run_without_it():
    program = support.try_compile('#include <stdlib.h>\nint main(void)'
                                  '{return getenv("LD_PRELOAD") ? 1 : 0;}', "musl",
                                  compiler="musl-gcc")
    handoff("run", program)


def test_descriptors_and_signals_are_the_callers():
    show = "import os, signal; print(sorted(os.listdir('/proc/self/fd'))[:-1], " \
           "signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(0, []), " \
           "[l for l in open('/proc/self/status') if l.startswith('Sig')])"
    plain = subprocess.run([sys.executable, "-c", show], env=support.environment(), timeout=60,
                           stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True).stdout
    for flags in ([], ["--stats"]):
        out, _ = handoff("run", *flags, sys.executable, "-c", show)
        assert out == plain.decode(), (out, plain)


def ignore_some():
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def test_ignored_signals_stay_ignored():
    for flags in ([], ["--stats"]):
        out, _ = handoff("run", *flags, "grep", "SigIgn", "/proc/self/status",
                         preexec_fn=ignore_some)
        assert int(out.split()[1], 16) & 0x10003 == 0x10003, (flags, out)


def test_closed_descriptors_stay_closed():
    command = f"exec {support.tool} run sh -c 'test ! -e /proc/self/fd/0' <&-"
    assert subprocess.run(["sh", "-c", command], env=support.environment(),
                          timeout=60).returncode == 0


# -- with --stats

def test_stats_are_printed_at_the_end():
    p = Process(support.tool, "run", "--stats", support.fakepage, stderr=subprocess.PIPE)
    assert p.line() == "ready"
    p.tell("tick")
    assert p.line() == "ok"
    assert p.end() == 0
    err = p.p.stderr.read().decode()
    assert "created                     103" in err, err
    assert os.listdir(support.directory / "runtime/handoff") == []


def test_stats_nobody_reads_leave_the_status():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([str(support.tool), "run", "--stats", "sh", "-c", "exit 7"], stdin=subprocess.DEVNULL,
                              stdout=writer, stderr=writer, timeout=20)
    finally:
        os.close(writer)
    assert done.returncode == 7


def test_stats_to_a_file():
    path = support.directory / "out"
    p = Process(support.tool, "run", f"--stats={path}", support.fakepage)
    assert p.line() == "ready"
    assert p.end() == 0
    assert "user threads: 8 live" in path.read_text()
    one_line(handoff("run", "--stats=/no/such/place", "true", status=125)[1])


def test_stats_of_a_crash():
    path = support.directory / "out"
    p = Process(support.tool, "run", f"--stats={path}", support.fakepage)
    assert p.line() == "ready"
    p.tell("abort")
    assert p.p.wait(60) == 0
    assert "user threads: 8 live" in path.read_text()
    assert os.listdir(support.directory / "runtime/handoff") == []


def test_stats_of_a_child_are_not_kept():
    p = Process(support.tool, "run", "--stats", "sh", "-c", f"{support.fakepage}; exit 3",
                stderr=subprocess.PIPE)
    assert p.line() == "ready"
    assert p.end() == 3
    assert "no statistics" in one_line(p.p.stderr.read().decode())
    assert os.listdir(support.directory / "runtime/handoff") == []


def test_stats_of_a_program_without_threads():
    _, err = handoff("run", "--stats", "true")
    assert "no statistics" in one_line(err)


def test_stats_keeps_the_status():
    handoff("run", "--stats", "sh", "-c", "exit 9", status=9)
    handoff("run", "--stats", "sh", "-c", "kill -KILL $$", status=-signal.SIGKILL)
    handoff("run", "--stats", "sh", "-c", "kill -TERM $$", status=-signal.SIGTERM)


WAIT = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {1, 2, 3, 10, 15})
print("ready", flush=True)
while True:
    got = signal.sigwait({1, 2, 3, 10, 15})
    print(int(got), flush=True)
    if got == 15:
        sys.exit(5)
"""


def test_stats_hands_signals_on():
    p = Process(support.tool, "run", "--stats", sys.executable, "-c", WAIT,
                stderr=subprocess.DEVNULL)
    assert p.line() == "ready"
    for number in (1, 2, 3, 10, 15):
        p.kill(number)
        assert p.line() == str(number)
    assert p.p.wait(60) == 5


def test_stats_stops_and_continues_with_the_command():
    # A group of its own, with us for a parent in the same session: the kernel does not stop an orphaned group.
    p = Process(support.tool, "run", "--stats", support.fakepage, stderr=subprocess.DEVNULL, process_group=0)
    assert p.line() == "ready"
    p.kill(signal.SIGTSTP)
    _, status = os.waitpid(p.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    p.kill(signal.SIGCONT)
    p.tell("tick")
    assert p.line() == "ok"
    assert p.end() == 0


def test_stats_killed_takes_the_command_along():
    p = Process(support.tool, "run", "--stats", sys.executable, "-c",
                "import os; print(os.getpid(), flush=True); input()")
    child = int(p.line())
    p.kill(signal.SIGKILL)
    p.p.wait(60)
    assert p.line() == ""  # end of file: the command, holding the pipe, is gone
    assert not pathlib.Path(f"/proc/{child}/exe").exists()
