"""Options: shown, explained, and the same everywhere they are written down."""
import json
import re
import subprocess

import support
from support import ROOT, Page, handoff, one_line


def names_in_def():
    return re.findall(r'^OPTION\(\w+, "(\w+)"', (ROOT / "shim/options.def").read_text(), re.M)


def test_names_are_those_of_the_table():
    assert handoff("config", "--names")[0].split() == names_in_def()


def test_every_option_is_shown():
    out, _ = handoff("config")
    for name in names_in_def():
        assert f"HANDOFF_{name} " in out


def test_values_of_this_environment():
    out, _ = handoff("config", "PROCS", env={"HANDOFF_PROCS": 3})
    assert "value:   3" in out and "default: auto" in out and "allowed: auto, 1..1024" in out


def test_one_option_in_any_spelling():
    want = handoff("config", "PROCS")[0]
    assert handoff("config", "procs")[0] == want
    assert handoff("config", "HANDOFF_PROCS")[0] == want
    assert "HANDOFF_PROCS?" in one_line(handoff("config", "PROC", status=2)[1])


def test_json():
    options = json.loads(handoff("config", "--json", env={"HANDOFF_RETAKE": "1.5ms"})[0])
    assert [o["name"] for o in options] == ["HANDOFF_" + n for n in names_in_def()]
    retake = next(o for o in options if o["name"] == "HANDOFF_RETAKE")
    assert retake["value"] == "1.5ms" and retake["default"] == "20us"
    assert retake["kind"] == "duration" and "ms" in retake["allowed"]


def test_a_bad_value_is_reported_and_the_default_shown():
    out, err = handoff("config", "PROCS", env={"HANDOFF_PROCS": "abc"})
    assert "value:   auto" in out
    assert one_line(err) == ("handoff: HANDOFF_PROCS=abc: not a number; allowed: auto, 1..1024; "
                             "using auto\n")


def test_values_of_a_process():
    page = Page()
    out, _ = handoff("config", page.pid)
    assert re.search(r"HANDOFF_PROCS +2 ", out), out
    one_line(handoff("config", 999999999, status=1)[1])


def test_the_page_of_options_is_the_tables():
    assert handoff("config", "--markdown")[0] == (ROOT / "docs/options.md").read_text(), \
        "docs/options.md is out of date: handoff config --markdown >docs/options.md"


def test_the_manual_lists_the_tables_options():
    assert handoff("config", "--man")[0] in (ROOT / "docs/man/handoff.1").read_text(), \
        "docs/man/handoff.1 is out of date: put `handoff config --man` into it"


def test_the_manual_names_every_subcommand():
    text = (ROOT / "docs/man/handoff.1").read_text()
    for name in ("run", "check", "stat", "threads", "ps", "config"):
        assert f".It Cm {name}\n" in text, name


def complete(*words):
    script = f"""
        source {ROOT}/tools/completion/handoff.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() {{ :; }}
        _handoff; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return subprocess.run(["bash", "-c", script, "bash", str(support.tool), *words],
                          env=support.environment(), stdout=subprocess.PIPE, timeout=60,
                          check=True).stdout.decode().split()


def test_completion():
    support.need("bash")
    assert complete("st") == ["stat"]
    assert complete("run", "-o", "PRO") == ["PROCS="]
    assert complete("config", "MAX") == ["MAX_WORKERS"]
    page = Page()
    assert str(page.pid) in complete("stat", "")
    assert "--state=parked" in complete("threads", "--state=pa")
