"""Help, version, typos, and output that cannot be written."""
import os
import re
import signal
import subprocess

import support
from support import handoff, one_line

SUBCOMMANDS = ["run", "check", "stat", "threads", "ps", "config"]


def test_help_names_every_subcommand():
    out, err = handoff("--help")
    assert not err
    for name in SUBCOMMANDS:
        assert f"handoff {name}" in out, name
        text, _ = handoff("help", name)
        assert text.startswith(f"usage: handoff {name}"), text
        assert handoff(name, "--help")[0] == text
        assert "Exit status" in text


def test_version():
    out, _ = handoff("--version")
    assert re.fullmatch(r"handoff \S+\n", out), out


def test_nothing_is_a_usage_error():
    one_line(handoff(status=2)[1])


def test_misspelt_subcommand_gets_the_nearest():
    assert "did you mean handoff stat?" in one_line(handoff("stta", status=2)[1])
    assert "did you mean handoff threads?" in one_line(handoff("thread", status=2)[1])
    assert "did you mean" not in one_line(handoff("xyzzy", status=2)[1])
    one_line(handoff("help", "stta", status=2)[1])


def test_misspelt_option_gets_the_nearest():
    assert "did you mean --version?" in one_line(handoff("--versoin", status=2)[1])
    for name in SUBCOMMANDS:
        status = 125 if name == "run" else 2
        assert "usage:" in one_line(handoff(name, "--hlep", status=status)[1])
    _, err = handoff("stat", "1", "--fromat=json", status=2)
    assert "unknown option --fromat (did you mean --format?); usage: " in one_line(err)
    assert "did you mean" not in one_line(handoff("stat", "1", "--colour", status=2)[1])
    assert "did you mean" not in one_line(handoff("config", "HANDOFF_FOO", status=2)[1])
    assert "unknown option -x" in one_line(handoff("stat", "-x", status=2)[1])


def test_option_values():
    _, err = handoff("stat", "1", "--format=jsno", status=2)
    assert "unknown (did you mean json?); usage: " in one_line(err)
    _, err = handoff("threads", "1", "--state=praked", status=2)
    assert "unknown (did you mean parked?); usage: " in one_line(err)
    one_line(handoff("stat", "1", "--format", status=2)[1])
    one_line(handoff("stat", "1", "-i", "soon", status=2)[1])
    one_line(handoff("stat", "1", "-i0", status=2)[1])
    one_line(handoff("stat", "1", "-i1", "-fprom", status=2)[1])
    one_line(handoff("ps", "--json=1", status=2)[1])


def test_missing_and_surplus_arguments():
    for name in ("check", "stat", "threads"):
        one_line(handoff(name, status=2)[1])
        one_line(handoff(name, "1", "2", status=2)[1])
    one_line(handoff("run", status=125)[1])
    one_line(handoff("ps", "1", status=2)[1])


def test_a_full_disk_is_reported():
    with open("/dev/full", "wb") as full:
        for arguments in (["--help"], ["ps"], ["config"], ["check", "ls"], ["--version"]):
            _, err = handoff(*arguments, status=1, stdout=full)
            assert "No space left" in one_line(err), arguments


def into_a_closed_pipe(*arguments, **options):
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        return handoff(*arguments, stdout=write_end, **options)[1]
    finally:
        os.close(write_end)


def test_a_closed_pipe_ends_it_silently():
    for arguments in (["config"], ["check", "ls"], ["stat", support.Page().pid], ["--help"]):
        assert into_a_closed_pipe(*arguments, status=-signal.SIGPIPE) == "", arguments


def test_a_closed_pipe_is_reported_where_sigpipe_is_ignored():
    for arguments in (["config"], ["check", "ls"], ["stat", support.Page().pid], ["--help"]):
        err = into_a_closed_pipe(*arguments, status=1, restore_signals=False)  # python ignores it
        assert "Broken pipe" in one_line(err), arguments


def test_a_closed_stdout_is_reported():
    command = f"exec {support.tool} config >&-"
    done = subprocess.run(["sh", "-c", command], env=support.environment(), stderr=subprocess.PIPE,
                          timeout=60)
    assert done.returncode == 1
    one_line(done.stderr.decode())


def test_a_failure_keeps_its_status_on_a_full_disk():
    with open("/dev/full", "wb") as full:
        handoff("check", "/nosuch", status=127, stdout=full)
