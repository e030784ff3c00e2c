"""Redis with two I/O threads: many clients, pipelines, blocking pops, transactions, publications, a saved snapshot (by fork), an append-only file
synced in the background; redis-benchmark; every answer is checked, and after a restart the data is there."""

import os
import re
import shutil
import socket
import threading

from common import Failure, free_port, need, together, until

CLIENTS = 40
KEYS = 60


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 40)
        self.file = self.socket.makefile("rwb")

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.answer() for _ in range(int(rest))]
        raise Failure("redis answers %r" % line)

    def ask(self, *words):
        self.send(*words)
        self.file.flush()
        return self.answer()

    def close(self):
        self.file.close()
        self.socket.close()


def expect(got, want, what):
    if got != want:
        raise Failure("%s answered %r, not %r" % (what, got, want))


def command(scratch, port, *more):
    return [shutil.which("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--dir", scratch, "--save", "", "--daemonize", "no",
            "--io-threads", "2", "--io-threads-do-reads", "yes"] + list(more)


def run(context):
    need("redis-server", "redis-benchmark")
    port = free_port()
    start = command(context.scratch, port, "--appendonly", "yes", "--appendfsync", "everysec")
    server = context.start(start)
    context.wait_port(server, port)
    first = Client(port)
    expect(first.ask("PING"), "PONG", "PING")

    def work(index):
        client = Client(port)
        for i in range(KEYS):
            key, value = "k%d-%d" % (index, i), (b"%d." % (index * 1000 + i)) * (i % 60 + 1)
            expect(client.ask("SET", key, value), "OK", "SET")
            expect(client.ask("GET", key), value, "GET")
            if i % 10 == 0:
                expect(client.ask("DEL", key), 1, "DEL")
        for i in range(50):  # a pipeline
            client.send("INCR", "counter")
            client.send("RPUSH", "list%d" % index, i)
        client.file.flush()
        for i in range(50):
            client.answer()
            expect(client.answer(), i + 1, "RPUSH")
        expect(client.ask("LRANGE", "list%d" % index, 0, -1), [b"%d" % i for i in range(50)], "LRANGE")
        client.send("MULTI")
        client.send("INCRBY", "counter", 5)
        client.send("SET", "last%d" % index, "x" * 100000)
        client.send("EXEC")
        client.file.flush()
        expect([client.answer() for _ in range(3)], ["OK", "QUEUED", "QUEUED"], "MULTI")
        expect(client.answer()[1], "OK", "EXEC")
        expect(client.ask("GET", "last%d" % index), b"x" * 100000, "GET of a large value")
        for i in range(KEYS):
            key, value = "k%d-%d" % (index, i), (b"%d." % (index * 1000 + i)) * (i % 60 + 1)
            expect(client.ask("GET", key), None if i % 10 == 0 else value, "GET")
        client.close()

    # consumers wait in BLPOP while producers push: each item to one of them
    taken, lock = [], threading.Lock()

    def queue(index):
        client = Client(port)
        if index % 2:
            for i in range(100):
                client.ask("RPUSH", "queue", "%d-%d" % (index, i))
        else:
            for i in range(100):
                got = client.ask("BLPOP", "queue", 30)
                with lock:
                    taken.append(got[1])
        client.close()

    together(CLIENTS, work)
    context.check_active(server)
    together(10, queue)
    expect(sorted(taken), sorted(b"%d-%d" % (i, k) for i in range(1, 10, 2) for k in range(100)), "BLPOP")

    listener = Client(port)
    expect(listener.ask("SUBSCRIBE", "news"), [b"subscribe", b"news", 1], "SUBSCRIBE")
    for i in range(50):
        expect(first.ask("PUBLISH", "news", i), 1, "PUBLISH")
    for i in range(50):
        expect(listener.answer(), [b"message", b"news", b"%d" % i], "the subscriber")
    listener.close()

    expect(first.ask("BGSAVE"), "Background saving started", "BGSAVE")
    until(lambda: b"rdb_bgsave_in_progress:0" in first.ask("INFO", "persistence"), 30, "BGSAVE")
    if b"rdb_last_bgsave_status:ok" not in first.ask("INFO", "persistence"):
        raise Failure("BGSAVE failed: %s" % context.tail(server))
    first.ask("BGREWRITEAOF")
    until(lambda: b"aof_rewrite_in_progress:0" in first.ask("INFO", "persistence"), 30, "BGREWRITEAOF")
    out, _, _ = context.run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "50", "-n", "20000", "-t", "set,get", "-q"])
    for name in ("SET", "GET"):
        found = re.search(name + r": ([0-9.]+) requests per second", out)
        if not found:
            raise Failure("redis-benchmark says: %s" % out[-300:])
        context.info[name.lower() + "/s"] = float(found.group(1))
    counter = first.ask("GET", "counter")
    expect(counter, b"%d" % (CLIENTS * 55), "the counter")
    first.close()
    status = context.stop(server)

    server = context.start(start)  # what was written is there again
    context.wait_port(server, port)

    def there():
        try:
            client = Client(port)
            got = client.ask("GET", "counter")
            client.close()
            return got == counter
        except Failure:  # -LOADING
            return False

    until(there, 20, "the counter after the restart")
    return {"status": [status, context.stop(server)], "counter": counter}
