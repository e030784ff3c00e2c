"""handoff check: what keeps a program native, and what to do."""
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys

import support
from support import Page, handoff, one_line, try_compile

MAIN = "int main(void){return 0;}"
THREADS = "#include <pthread.h>\nstatic void *f(void *a){return a;}\n" \
          "int main(void){pthread_t t;return pthread_create(&t,0,f,0);}"


def verdict(target, status, *words, **options):
    """The last line, which holds `words`."""
    out, err = handoff("check", target, status=status, **options)
    assert not err, err
    last = out.splitlines()[-1]
    assert last.startswith(f"{target}: "), last
    for word in words:
        assert word in last, last
    report = json.loads(handoff("check", "--json", target, status=status, **options)[0])
    assert report["status"] == status
    assert report["verdict"] == ("handoff" if not status else
                                 "native" if "stays native: " in last else "cannot run")
    assert status < 126 or "cannot run: " in last
    if status:
        assert report["reason"] in last and report["advice"] in last and report["advice"]
    return out


def copy(program, name):
    path = support.directory / name
    shutil.copy(program, path)
    path.chmod(0o755)
    return path


def test_an_ordinary_program_will_run():
    program = try_compile(THREADS, "ordinary", "-pthread")
    out = verdict(program, 0, "will run under handoff")
    assert "dynamically linked x86-64" in out and "does not itself create threads" not in out


def test_a_command_is_found_in_path():
    verdict("ls", 0, "will run under handoff")


def test_a_program_without_threads_is_noted():
    assert "does not itself create threads" in verdict(try_compile(MAIN, "single"), 0)


def test_static():
    verdict(try_compile(MAIN, "static", "-static"), 1, "stays native", "statically linked",
            "link it dynamically")


def test_static_pie():
    verdict(try_compile(MAIN, "staticpie", "-static-pie"), 1, "statically linked")


def test_32_bit():
    verdict(try_compile(MAIN, "small", "-m32"), 1, "32-bit", "x86-64")


def test_musl():
    verdict(try_compile(MAIN, "musl", compiler="musl-gcc"), 1, "musl", "glibc")


def test_sanitizers():
    for name in ("address", "thread"):
        verdict(try_compile(MAIN, name, f"-fsanitize={name}"), 1, "anitizer", "-fsanitize")


def test_go():
    note = '__asm__(".section .note.go.buildid,\\"a\\",@note\\n.long 4,4,4\\n.ascii \\"Go\\\\0\\\\0abcd\\"");'
    verdict(try_compile(note + MAIN, "go"), 1, "Go program")
    section = '__asm__(".section .go.buildinfo,\\"aw\\"\\n.quad 1");'
    verdict(try_compile(section + MAIN, "go2"), 1, "Go program")


def test_missing():
    verdict("/no/such/file", 127, "cannot run")
    verdict("no-such-command", 127, "not found in PATH")


def test_not_executable():
    (support.directory / "plain").write_text("x\n")
    verdict(support.directory / "plain", 126, "may not be executed")
    verdict("plain", 126, "not as an executable", env={"PATH": support.directory})


def test_directories_and_devices():
    verdict(support.directory, 126, "is a directory")
    verdict("/dev/null", 126, "not a regular file")


def test_another_machine():
    program = copy("/bin/true", "arm")
    image = bytearray(program.read_bytes())
    image[18:20] = struct.pack("<H", 183)
    program.write_bytes(image)
    verdict(program, 1, "another machine (AArch64)")


def test_another_byte_order():
    program = copy("/bin/true", "odd")
    image = bytearray(program.read_bytes())
    for order in (0, 2, 77):
        image[5] = order
        program.write_bytes(image)
        out = verdict(program, 1, "byte order", "EI_DATA")
        assert "another machine" not in out
    image[5], image[18:20] = 2, struct.pack(">H", 22)
    program.write_bytes(image)
    verdict(program, 1, "another machine (S/390)")


def test_a_shared_library():
    library = copy(support.library, "lib.so")
    verdict(library, 126, "shared library")


def test_a_missing_loader():
    program = try_compile(MAIN, "lost", "-Wl,--dynamic-linker=/no/ld-linux-x86-64.so.2")
    verdict(program, 127, "/no/ld-linux-x86-64.so.2")


def test_a_foreign_loader():
    loader = copy("/lib64/ld-linux-x86-64.so.2", "ld-other.so")
    verdict(try_compile(MAIN, "foreign", f"-Wl,--dynamic-linker={loader}"), 1, "not glibc's")


# -- scripts

def test_script_is_its_interpreters_case():
    out = verdict(support.executable("s", "#! /bin/sh -e\ntrue\n"), 0, "will run")
    assert "run by /bin/sh" in out
    static = try_compile(MAIN, "static", "-static")
    verdict(support.executable("t", f"#!{static}\n"), 1, "statically linked")


def test_env_script():
    assert "run by /" in verdict(support.executable("a", "#!/usr/bin/env bash\n"), 0)
    assert "run by /" in verdict(support.executable("b", "#!/usr/bin/env -S A=b -i bash -e\n"), 0)
    verdict(support.executable("c", "#!/usr/bin/env no-such-interpreter\n"), 127, "no-such-interpreter")
    verdict(support.executable("d", "#!/usr/bin/env bash -e\n"), 127, "bash -e")


def test_script_without_a_first_line():
    assert "run by /bin/sh" in verdict(support.executable("s", "echo hello\n"), 0)


def test_script_with_a_bad_interpreter():
    verdict(support.executable("a", "#!/no/such/thing\n"), 127, "/no/such/thing")
    verdict(support.executable("b", f"#!{support.directory}\n"), 126)
    verdict(support.executable("c", "#!\n"), 126, "names no interpreter")


def test_scripts_that_run_each_other():
    a, b = support.directory / "a", support.directory / "b"
    support.executable("a", f"#!{b}\n")
    support.executable("b", f"#!{a}\n")
    verdict(a, 126, "too many")


# -- privileges

def test_setuid():
    support.need_root()
    program = copy("/bin/true", "suid")
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    verdict(program, 1, "setuid", "LD_PRELOAD")


def test_setgid():
    support.need_root()
    program = copy("/bin/true", "sgid")
    os.chown(program, 0, 65534)
    program.chmod(0o2755)
    verdict(program, 1, "setgid")


def test_setuid_root_for_root_and_for_others():
    support.need_root()
    program = copy("/bin/true", "suidroot")
    program.chmod(0o4755)
    assert "native for others" in verdict(program, 0)
    tool, library = copy(support.tool, "handoff"), copy(support.library, "l.so")
    done = subprocess.run([tool, "check", program], user=65534, group=65534, extra_groups=[],
                          env=support.environment(HANDOFF_LIBRARY=library), timeout=60,
                          stdout=subprocess.PIPE)
    assert done.returncode == 1 and b"setuid" in done.stdout, done.stdout


def test_setuid_without_effect():
    support.need_root()
    setpriv = support.need("setpriv")
    program = copy("/bin/true", "suid")
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    done = subprocess.run([setpriv, "--no-new-privs", support.tool, "check", program], timeout=60,
                          env=support.environment(), stdout=subprocess.PIPE)
    assert done.returncode == 0 and b"no_new_privs" in done.stdout, done.stdout


def test_file_capabilities():
    support.need_root()
    program, tool = copy("/bin/true", "caps"), copy(support.tool, "handoff")
    library = copy(support.library, "l.so")
    try:  # cap_net_raw+ep, revision 2
        os.setxattr(program, "security.capability",
                    struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    except OSError as error:
        raise support.Skip(f"cannot set capabilities: {error}")
    done = subprocess.run([tool, "check", program], user=65534, group=65534, extra_groups=[],
                          env=support.environment(HANDOFF_LIBRARY=library), timeout=60,
                          stdout=subprocess.PIPE)
    assert done.returncode == 1 and b"file capabilities" in done.stdout, done.stdout


def test_unreadable_program():
    support.need_root()
    program, tool = copy("/bin/true", "x"), copy(support.tool, "handoff")
    program.chmod(0o711)
    done = subprocess.run([tool, "check", program], user=65534, group=65534, extra_groups=[],
                          env=support.environment(), timeout=60, stdout=subprocess.PIPE)
    assert done.returncode == 1 and b"not read" in done.stdout, done.stdout


# -- hostile files

def test_truncated_elf():
    image = pathlib.Path(shutil.which("true")).read_bytes()
    for size in (4, 20, 52, 63, 64, 200, 700, len(image) // 2):
        path = support.directory / f"cut{size}"
        path.write_bytes(image[:size])
        path.chmod(0o755)
        verdict(path, 126, "truncated")


def test_damaged_elf_never_crashes():
    image = pathlib.Path(shutil.which("true")).read_bytes()
    path = support.directory / "bad"
    state = 12345
    for _ in range(300):
        bad = bytearray(image)
        for _ in range(8):
            state = (state * 1103515245 + 12345) % 2**31
            at = 16 + state // 7 % 800  # headers and program headers
            state = (state * 1103515245 + 12345) % 2**31
            bad[at] = state >> 16 & 255
        path.write_bytes(bad)
        path.chmod(0o755)
        done = subprocess.run([support.tool, "check", path], env=support.environment(), timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode in (0, 1, 126, 127), (done, bad[:1000].hex())


# -- set-up

def test_set_up_that_keeps_it_native():
    verdict("ls", 1, "HANDOFF_ENABLE=0", env={"HANDOFF_ENABLE": "no"})
    verdict("ls", 1, "HANDOFF_MATCH=apache*", env={"HANDOFF_MATCH": "apache*"})
    verdict("ls", 0, env={"HANDOFF_MATCH": "apache*,l?"})
    assert "HANDOFF_PROCS=x: not a number" in verdict("ls", 0, env={"HANDOFF_PROCS": "x"})


def test_set_up_that_stops_it():
    place = support.directory / "a:b"
    place.mkdir()
    spaced = copy(support.library, "a:b/x.so")
    other = support.directory / "other.so"
    support.compile_c(support.library.parent / "empty.c", other, "-shared", "-fPIC")
    for path, why in (("/no/such.so", "HANDOFF_LIBRARY=/no/such.so: No such file"),
                      (spaced, "LD_PRELOAD cannot hold a path"),
                      ("/etc/passwd", "not a shared library for x86-64"),
                      (other, "not libhandoff.so")):
        verdict("ls", 1, "cannot run", why, env={"HANDOFF_LIBRARY": path})
        _, err = handoff("run", "ls", status=125, env={"HANDOFF_LIBRARY": path})
        assert why in one_line(err)
    bad = {"HANDOFF_STRICT": "1", "HANDOFF_PROCS": "x"}
    verdict("ls", 1, "cannot run", "HANDOFF_STRICT=1", "status 125", env=bad)
    verdict(try_compile(MAIN, "static", "-static"), 1, "stays native", "static", env=bad)


def test_little_address_space():
    if b"__asan_version_mismatch" in support.tool.read_bytes():
        raise support.Skip("AddressSanitizer itself needs more")

    def limit(size):
        return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))
    verdict("ls", 1, "stays native", "limited (ulimit -v) to 1464 MB", "need 2048",
            preexec_fn=limit(1500000 << 10))
    verdict("ls", 0, preexec_fn=limit(2 << 30))


FILTER = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[1]), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, *argv[2] == 'k' ? SECCOMP_RET_KILL_PROCESS
                                                  : SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {sizeof f / sizeof f[0], f};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (argc < 4 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
        return 99;
    execv(argv[3], argv + 3);
    return 98;
}
"""


def test_seccomp_that_refuses_or_kills():
    filtered = try_compile(FILTER, "filtered")
    for number, name in ((324, "membarrier"), (291, "epoll_create1")):
        for way in ("refuse", "kill"):
            done = subprocess.run([filtered, str(number), way, support.tool, "check", "ls"],
                                  env=support.environment(), timeout=60, stdout=subprocess.PIPE)
            last = done.stdout.decode().splitlines()[-1]
            assert done.returncode == 1 and f"system call {name}" in last, last
            assert ("it kills" in last) == (way == "kill"), last
    for way, status in (("refuse", 0), ("kill", 1)):  # mkdir: done without where it only fails
        done = subprocess.run([filtered, "83", way, support.tool, "check", "ls"],
                              env=support.environment(), timeout=60, stdout=subprocess.PIPE)
        assert done.returncode == status, done.stdout


# -- processes

def test_processes():
    page = Page()
    verdict(page.pid, 0, "runs under handoff")
    refused = Page(state=2, reason="seccomp forbids clone")
    verdict(refused.pid, 1, "stays native", "seccomp forbids clone")
    dormant = Page(state=0)
    verdict(dormant.pid, 0, "will run under handoff")


def test_a_process_that_was_not_preloaded():
    p = support.Process("cat")
    out = verdict(p.pid, 1, "was not started under handoff", "handoff run")
    assert "dynamically linked" in out


def test_a_preloaded_process_that_is_dormant():
    library = copy(support.library, "libhandoff.so")
    p = support.Process(support.tool, "run", "cat", env={"HANDOFF_LIBRARY": library})
    p.tell("x")
    assert p.line() == "x"  # it has been exec'ed
    out = verdict(p.pid, 0, "will run under handoff")
    assert "dormant" in out


def test_no_such_process():
    one_line(handoff("check", 999999999, status=127)[1])
    p = subprocess.Popen([sys.executable, "-c", ""])
    while pathlib.Path(f"/proc/{p.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        pass
    one_line(handoff("check", p.pid, status=127)[1])
    p.wait()
