"""handoff stat, threads and ps, on a made-up page and on hostile ones."""
import json
import os
import re
import subprocess

import support
from support import ROOT, Page, Process, handoff, one_line

COUNTERS = re.findall(r'^COUNTER\((\w+), (\w+), "(\w+)", "(.*)"\)',
                      (ROOT / "shim/counters.def").read_text(), re.M)
STATES = ["runnable", "running", "syscall", "parked", "exiting"]


def stat(page, *arguments):
    out, err = handoff("stat", page.pid, *arguments)
    assert not err, err
    return out


def test_text_has_every_counter():
    out = stat(Page())
    for i, (_, group, label, text) in enumerate(COUNTERS):
        n = f"{1000 * i + 3:,}".replace(",", " ")
        assert re.search(rf"^  {label} +{n}  {re.escape(text)}$", out, re.M), label
        assert f"\n{group}\n" in out
    assert "user threads: 8 live, 1 runnable, 1 running, 1 syscall, 5 parked, 0 exiting" in out
    assert "workers: 5 live, 1 spin, 1 run, 1 syscall, 1 poll, 1 sleep" in out
    assert "activation took 1.2ms" in out
    assert "571 in 2 objects, 560 patched, 11 left native" in out
    assert "p50 < 64ns, p90 < 1.0us, p99 >= 4.2s, max >= 4.2s" in out
    assert re.search(r"^0 +running +7 +9 +1$", out, re.M)


def test_json_has_everything():
    page = Page()
    s = json.loads(stat(page, "--format=json"))
    assert s["pid"] == page.pid and s["exe"] == '/opt/a "b\\c' and s["state"] == "active"
    for i, (_, group, label, _) in enumerate(COUNTERS):
        assert s["counters"][group][label] == 1000 * i + 3
    assert s["uthreads"] == {"runnable": 1, "running": 1, "syscall": 1, "parked": 5, "exiting": 0}
    assert s["workers"] == {"spin": 1, "run": 1, "syscall": 1, "poll": 1, "sleep": 1}
    assert [p["state"] for p in s["procs"]] == ["running", "idle"]
    assert s["procs"][0] == {"id": 0, "state": "running", "runq": 7, "timers": 9, "worker": 1}
    assert s["latency"]["count"] == 100 and s["latency"]["p50_below_ns"] == 64
    assert s["latency"]["p90_below_ns"] == 1024 and s["latency"]["p99_below_ns"] is None
    assert sum(b["count"] for b in s["latency"]["buckets"]) == 100
    assert s["sites"] == {"total": 571, "patched": 560, "native": 11, "objects": 2}
    assert s["options"]["RETAKE"] == "20us" and s["activation_ns"] == 1234567


def test_interval_gives_rates():
    page = Page()
    page.tick()
    p = Process(support.tool, "stat", page.pid, "-i", "50ms", "-n", "2", "--format=json")
    first, second = json.loads(p.line()), json.loads(p.line())
    assert p.end() == 0
    total = [s["counters"]["threads"]["created"] for s in (first, second)]
    assert total == [103, 103]
    assert second["rates"]["threads"]["created"] == 0
    assert set(first["rates"]) == set(first["counters"])


def test_rates_are_per_second():
    page = Page()
    p = Process(support.tool, "stat", page.pid, "-i", "50ms", "--format=json")
    seen = json.loads(p.line())
    page.tick()
    while True:
        before, seen = seen, json.loads(p.line())
        if seen["counters"]["threads"]["created"] != before["counters"]["threads"]["created"]:
            break
    seconds = (seen["taken_ns"] - before["taken_ns"]) / 1e9
    assert abs(seen["rates"]["threads"]["created"] - 100 / seconds) < 1
    page.end()
    while p.line():
        pass
    assert p.end() == 0  # it ends with the process


# -- Prometheus

def parse_prometheus(text):
    """The text format 0.0.4, strictly: {family: (type, [(name, labels, value)])}."""
    name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    value = r'"((?:[^"\\\n]|\\["\\n])*)"'
    families, current = {}, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = re.fullmatch(rf"# HELP ({name}) ([^\n]+)", line)[1]
            assert current not in families, f"{current}: not one block"
            assert not re.search(r"\\(?![\\n])", line)
            families[current] = [None, []]
        elif line.startswith("# TYPE "):
            kind = re.fullmatch(rf"# TYPE ({name}) (counter|gauge|histogram)", line)
            assert kind[1] == current and not families[current][1]
            families[current][0] = kind[2]
        else:
            sample = re.fullmatch(rf"({name})\{{(.*)\}} (\S+)", line)
            assert sample, line
            labels, rest = {}, sample[2]
            while rest:
                label = re.match(rf"([a-zA-Z_][a-zA-Z0-9_]*)={value}(,|$)", rest)
                assert label, rest
                assert label[1] not in labels
                labels[label[1]] = label[2].replace('\\"', '"').replace("\\\\", "\\")
                rest = rest[label.end():]
            base = sample[1]
            if families[current][0] == "histogram":
                base = re.sub("_(bucket|sum|count)$", "", base)
                assert base != sample[1]
            assert base == current and families[current][0], line
            families[current][1].append((sample[1], labels, float(sample[3])))
    for family, (kind, samples) in families.items():
        assert kind == "counter" or not family.endswith("_total"), family
        assert kind != "counter" or family.endswith("_total"), family
        keys = [(n, tuple(sorted(l.items()))) for n, l, _ in samples]
        assert len(set(keys)) == len(keys), f"{family}: a sample twice"
    return families


def check_histogram(samples):
    buckets = [(float(l["le"]), v) for n, l, v in samples if n.endswith("_bucket")]
    count = [v for n, _, v in samples if n.endswith("_count")]
    assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
    assert [v for _, v in buckets] == sorted(v for _, v in buckets)
    assert count == [buckets[-1][1]]
    assert len([n for n, _, _ in samples if n.endswith("_sum")]) == 1
    return buckets


def test_prometheus_is_valid():
    page = Page()
    families = parse_prometheus(stat(page, "--format=prom"))
    for i, (_, group, label, _) in enumerate(COUNTERS):
        kind, samples = families[f"handoff_{group}_total"]
        assert kind == "counter"
        found = [v for _, l, v in samples if l["kind"] == label]
        assert found == [1000 * i + 3], label
    buckets = check_histogram(families["handoff_ready_latency_seconds"][1])
    assert buckets[0] == (6.4e-08, 50) and buckets[4] == (1.024e-06, 95)
    assert families["handoff_active"][1][0][1] == {"pid": str(page.pid), "program": 'a "b\\c'}
    threads = {l["state"]: v for _, l, v in families["handoff_live_threads"][1]}
    assert threads == {"runnable": 1, "running": 1, "syscall": 1, "parked": 5, "exiting": 0}


def test_prometheus_by_promtool():
    promtool = support.need("promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=stat(Page(), "-f", "prom").encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout


# -- threads

def test_threads_and_what_they_wait_for():
    page = Page()
    out, err = handoff("threads", page.pid)
    assert not err
    lines = out.splitlines()
    assert re.fullmatch(r" +TID +NAME +STATE +SINCE +WORKER +WAITS FOR", lines[0])
    assert len(lines) == 9
    want = [r"running .* 1! +-$", r"parked .* - +futex 0x7f0012345678$",
            r"parked .* read fd \d+ \(tcp 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+\)$",
            r"parked .* accept fd \d+ \(tcp 127\.0\.0\.1:\d+, listening\)$",
            r"parked .* sleep, 59m\d\ds left$", r"syscall .* syscall fsync$",
            r"parked .* read fd 0 \(pipe:\[\d+\]\)$", r"runnable .* -$"]
    column = lines[0].index("STATE")
    for i, (line, pattern) in enumerate(zip(lines[1:], want)):
        assert f"thread-{i}" in line and re.search(pattern, line), line
        assert line[column:].split()[0] in STATES, "columns are aligned"
        assert re.search(r" \d+(\.\d)?(ns|us|ms|s)  ", line), line


def test_threads_json():
    page = Page()
    threads = json.loads(handoff("threads", page.pid, "--json")[0])
    assert len(threads) == 8 and threads[0]["tid"] == page.pid
    assert threads[0]["worker"] == 1 and threads[0]["wired"] and threads[0]["wait"] is None
    assert threads[1]["wait"] == {"kind": "futex", "address": "0x7f0012345678"}
    assert threads[2]["wait"]["file"].startswith("tcp 127.0.0.1:")
    assert threads[5]["wait"] == {"kind": "syscall", "number": 74, "name": "fsync"}
    assert all(0 <= t["since_ns"] < 600e9 for t in threads)


def test_threads_of_a_state():
    page = Page(threads=80)
    for state, count in (("parked", 50), ("syscall", 10), ("exiting", 0)):
        found = json.loads(handoff("threads", page.pid, f"--state={state}", "--json")[0])
        assert [t["state"] for t in found] == [state] * count
    assert "did you mean parked?" in one_line(
        handoff("threads", page.pid, "--state=praked", status=2)[1])


def test_many_threads():
    page = Page(threads=100000)
    assert handoff("threads", page.pid)[0].count("\n") == 100001
    assert json.loads(stat(page, "--format=json"))["uthreads"]["parked"] == 62500


# -- ps

def test_ps_lists_live_processes():
    pages = [Page(), Page(threads=3)]
    out, err = handoff("ps")
    assert not err
    for page, threads in zip(pages, (8, 3)):
        assert re.search(rf"^ *{page.pid} +active +2 +5 +{threads} +.*fakepage", out, re.M), out
    listed = {p["pid"]: p for p in json.loads(handoff("ps", "--json")[0])}
    assert {p.pid for p in pages} <= set(listed)
    assert listed[pages[1].pid]["uthreads"] == 3


def test_ps_removes_what_a_crash_left():
    page = Page()
    page.tell("abort")
    page.p.wait(60)
    assert page.path.exists()
    out, err = handoff("ps", "--verbose")
    assert str(page.pid) not in out and f"{page.path}: left by" in err and "removed" in err
    assert not page.path.exists()


def test_ps_says_nothing_of_what_a_crash_left_unless_asked():
    page = Page(damage="version")
    page.tell("abort")
    page.p.wait(60)
    out, err = handoff("ps")
    assert str(page.pid) not in out and not err
    assert not page.path.exists()


def test_a_page_of_an_earlier_process_with_the_same_id():
    page = Page(start=1)
    for command in ("stat", "threads", "config"):
        _, err = handoff(command, page.pid, status=1)
        assert "earlier process" in one_line(err)
    out, err = handoff("ps", "-v")
    assert str(page.pid) not in out and "earlier process" in err
    assert not page.path.exists()


def test_ps_leaves_other_files_alone():
    runtime = support.directory / "runtime/handoff"
    runtime.mkdir()
    (runtime / "notes").write_text("x")
    (runtime / "12x").write_text("x")
    handoff("ps")
    assert sorted(os.listdir(runtime)) == ["12x", "notes"]


def test_a_page_in_tmp_and_of_a_process_with_another_environment():
    page = Page()
    out, _ = handoff("stat", page.pid, env={"XDG_RUNTIME_DIR": None})
    assert "active" in out


# -- what is not there, and what is hostile

def test_processes_without_a_page():
    p = Process("cat")
    for command in ("stat", "threads", "config"):
        assert "no statistics page" in one_line(handoff(command, p.pid, status=1)[1])
        assert "no process" in one_line(handoff(command, 999999999, status=1)[1])


def test_damaged_pages_are_refused():
    for damage in ("short", "empty", "magic", "version", "stride", "offset", "count"):
        page = Page(damage=damage)
        for command in ("stat", "threads", "config"):
            _, err = handoff(command, page.pid, status=1)
            assert str(page.path) in one_line(err), err
        handoff("ps", status=1)
        handoff("check", page.pid, status=1)
        page.end()


def test_wild_values_do_no_harm():
    page = Page(damage="wild", threads=1000)
    stat(page)
    parse_prometheus(stat(page, "--format=prom"))
    json.loads(stat(page, "--format=json"))
    json.loads(handoff("threads", page.pid, "--json")[0])
    handoff("threads", page.pid)
    handoff("ps")
    handoff("check", page.pid, status=1)


def test_hostile_strings_stay_text():
    page = Page(damage="strings", state=2)
    for arguments in (["stat", page.pid], ["threads", page.pid], ["check", page.pid],
                      ["config", page.pid], ["stat", page.pid, "--format=prom"]):
        out, _ = handoff(*arguments, status=None)
        assert not re.search(r"[^\x20-\x7e\n]", out), arguments
    json.loads(stat(page, "--format=json"))


def test_random_pages_do_no_harm():
    page = Page(threads=64)
    image = bytearray(page.path.read_bytes())
    state = 4711
    for _ in range(150):
        bad = bytearray(image)
        for _ in range(6):
            state = (state * 1103515245 + 12345) % 2**31
            at = 16 + state // 5 % 200 if state & 64 else state // 5 % len(bad)
            state = (state * 1103515245 + 12345) % 2**31
            bad[at] = state >> 16 & 255
        bad[24:28], bad[32:40] = image[24:28], image[32:40]  # let it pass as the process's own
        page.path.write_bytes(bad)
        for arguments in (["stat", page.pid], ["stat", page.pid, "-f", "prom"],
                          ["threads", page.pid]):
            done = subprocess.run([support.tool, *map(str, arguments)], timeout=60,
                                  env=support.environment(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
            assert done.returncode in (0, 1), (arguments, done.returncode)


def test_links_pipes_and_directories_are_no_pages():
    p = Process("cat")
    place = support.directory / "runtime/handoff"
    place.mkdir()
    path = place / str(p.pid)
    os.symlink("/dev/zero", path)
    one_line(handoff("stat", p.pid, status=1)[1])
    path.unlink()
    os.mkfifo(path)
    one_line(handoff("stat", p.pid, status=1)[1])
    path.unlink()
    path.mkdir()
    one_line(handoff("stat", p.pid, status=1)[1])


def test_a_strangers_page_is_refused():
    support.need_root()
    page = Page()
    os.chown(page.path, 65534, 65534)
    assert "another user" in one_line(handoff("stat", page.pid, status=1)[1])
