"""Real servers for tests/bench/run: how each is started and loaded. They and their loads are pinned to nothing.

measure(bench, name, lib, seconds) starts the server (under handoff if lib is its library), loads it, ends it with SIGTERM, and returns
{"rate": per second, "tail": ms}. EVENT: event loops with threads of their own beside. THREADS: a thread per connection.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs"))

import apache  # noqa: E402
import mariadb  # noqa: E402
import nginx  # noqa: E402
import redis  # noqa: E402
import stunnel  # noqa: E402
from common import free_port, listening  # noqa: E402

VALUE = b"v" * 100
ROOT = os.getuid() == 0


@contextlib.contextmanager
def serving(bench, command, port, lib, bound=20):
    """command, which is to listen on port."""
    if not command[0]:
        raise bench.Failure("the server is not installed (tools/deps installs it)")
    server = bench.start(command, lib, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + bound
        while not listening(port):
            if server.poll() is not None or time.monotonic() > limit:
                bench.end(server)
                raise bench.Failure("%s did not start: %s" % (command[0], server.stderr.read()[-300:]))
            time.sleep(0.05)
        yield server
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        raise bench.Failure("%s did not end on SIGTERM" % command[0])
    finally:
        bench.end(server)


def ask(bench, port, connections, seconds, *what):
    """echo_load."""
    load = bench.start([bench.program("echo_load"), str(port), bench.count(connections, 20), str(seconds), "0", *what],
                       stdout=subprocess.PIPE)
    found = bench.finish(load, seconds * 3 + 60)
    return {"rate": found["requests_per_s"], "tail": found["p99_us"] / 1000}


def loaded(bench, command, *numbers):
    """A load generator's output must have these numbers, each with its pattern."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    found = [re.search(pattern, done.stdout) for pattern in numbers]
    if done.returncode != 0 or None in found:
        raise bench.Failure("%s: status %d: %s" % (command[0], done.returncode, done.stdout.strip()[-300:]))
    return [float(m.group(1)) for m in found], done.stdout


def wrk(bench, url, connections, seconds):
    if not shutil.which("wrk"):
        raise bench.Failure("wrk is not installed (tools/deps installs it)")
    (rate, tail), out = loaded(bench, ["wrk", "-c" + bench.count(connections, 10), "-t2", "-d%ds" % seconds, "--timeout", "20s", "--latency", url],
                               r"Requests/sec:\s+([\d.]+)", r"99%\s+([\d.]+)")
    unit = re.search(r"99%\s+[\d.]+(us|ms|s)", out).group(1)
    return {"rate": rate, "tail": tail * {"us": 0.001, "ms": 1, "s": 1000}[unit]}


def take_value(bench, port, line, answer):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(line)
        if s.recv(100) != answer:
            raise bench.Failure("the server did not take a value")


def measure_nginx(bench, lib, scratch, seconds, pool=False):
    port = free_port()
    with serving(bench, nginx.prepare(scratch, port, pool), port, lib):
        return ask(bench, port, 100, seconds, "http", "small")


def measure_redis(bench, lib, scratch, seconds):
    port = free_port()
    with serving(bench, redis.command(scratch, port), port, lib):
        take_value(bench, port, b"SET key " + VALUE + b"\r\n", b"+OK\r\n")
        return ask(bench, port, 100, seconds, "raw", "GET key\r\n", str(len(b"$100\r\n" + VALUE + b"\r\n")))


def measure_memcached(bench, lib, scratch, seconds):
    port = free_port()
    command = [shutil.which("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "4", "-c", "4096"]
    with serving(bench, command + (["-u", "root"] if ROOT else []), port, lib):
        take_value(bench, port, b"set key 0 0 100\r\n" + VALUE + b"\r\n", b"STORED\r\n")
        return ask(bench, port, 100, seconds, "raw", "get key\r\n", str(len(b"VALUE key 0 100\r\n" + VALUE + b"\r\nEND\r\n")))


def measure_apache(bench, lib, scratch, seconds):
    port = free_port()
    with serving(bench, apache.prepare(scratch, port), port, lib):
        return wrk(bench, "http://127.0.0.1:%d/small" % port, 200, seconds)


def measure_stunnel(bench, lib, scratch, seconds):
    """TLS before an HTTP server, which runs natively."""
    behind, port = free_port(), free_port()
    command = stunnel.prepare(scratch, port, behind, lambda words: subprocess.run(words, check=True, stderr=subprocess.DEVNULL))
    with serving(bench, [bench.program("httpd"), str(behind)], behind, None), serving(bench, command, port, lib):
        return wrk(bench, "https://127.0.0.1:%d/" % port, 100, seconds)


@contextlib.contextmanager
def database(bench, lib, data):
    port, where = free_port(), tempfile.mkdtemp(prefix="handoff-db-")  # a socket's path must be short
    try:
        with serving(bench, mariadb.command(data, port, os.path.join(where, "s"), "256M"), port, lib, 60):
            yield port
    finally:
        shutil.rmtree(where, ignore_errors=True)


def sysbench(port, rows, *words):
    return ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=%d" % port, "--mysql-user=root",
            "--mysql-db=sbtest", "--tables=4", "--table-size=" + rows, *words]


def measure_mariadb(bench, lib, scratch, seconds, connections):
    """The data is made once, natively; both modes go on with it."""
    data, rows = os.path.join(bench.scratch(), "mariadb"), bench.count(10000, 100)
    for tool in ("mariadbd", "mariadb-install-db", "mariadb", "sysbench"):
        if not shutil.which(tool):
            raise bench.Failure("%s is not installed (tools/deps installs it)" % tool)
    if not os.path.exists(data):
        subprocess.run(mariadb.install(data), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        with database(bench, None, data) as port:
            subprocess.run(["mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port=%d" % port, "--user=root", "-e",
                            "create database sbtest"], check=True, timeout=60)
            loaded(bench, sysbench(port, rows, "prepare"))
    with database(bench, lib, data) as port:
        (rate, tail), _ = loaded(bench, sysbench(port, rows, "--threads=%d" % connections, "--time=%d" % seconds,
                                                 "--mysql-ignore-errors=1213,1020,1205", "run"),
                                 r"queries:\s+\d+\s+\(([\d.]+) per sec", r"95th percentile:\s+([\d.]+)")
    return {"rate": rate, "tail": tail}


EVENT = {
    "nginx": measure_nginx,
    "nginx-pool": lambda *words: measure_nginx(*words, pool=True),
    "redis": measure_redis,
    "memcached": measure_memcached,
}
THREADS = {
    "apache, 200 connections": measure_apache,
    "stunnel, 100 connections": measure_stunnel,
    "mariadb, 8 connections": lambda *words: measure_mariadb(*words, connections=8),
    "mariadb, 200 connections": lambda *words: measure_mariadb(*words, connections=200),
}


def measure(bench, name, lib, seconds):
    scratch = tempfile.mkdtemp(prefix="server-", dir=bench.scratch())
    os.chmod(bench.scratch(), 0o755)
    os.chmod(scratch, 0o755)
    return (EVENT.get(name) or THREADS[name])(bench, lib, scratch, seconds)
