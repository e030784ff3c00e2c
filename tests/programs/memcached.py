"""memcached with four worker threads: many clients set, get, add and delete; every answer is checked."""

import os
import shutil
import socket

from common import Failure, free_port, need, together, until

CLIENTS = 60
VALUES = 80


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rwb")

    def ask(self, text, data=None):
        self.file.write(text.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b""))
        self.file.flush()
        return self.file.readline().strip().decode()

    def get(self, key):
        line = self.ask("get " + key)
        if line == "END":
            return None
        data = self.file.read(int(line.split()[3]) + 2)[:-2]
        if self.file.readline().strip() != b"END":
            raise Failure("an answer without END")
        return data

    def close(self):
        self.file.close()
        self.socket.close()


def expect(got, want, what):
    if got != want:
        raise Failure("%s answered %r, not %r" % (what, got, want))


def run(context):
    need("memcached")
    port = free_port()
    server = context.start([shutil.which("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "4", "-c", "1024",
                            "-m", "64"] + (["-u", "root"] if os.getuid() == 0 else []))
    context.wait_port(server, port)
    first = Client(port)
    expect(first.ask("set counter 0 0 1", b"0"), "STORED", "set")
    until(lambda: context.descriptors(server), 5, "descriptors")
    before = context.descriptors(server)

    def work(index):
        client = Client(port)
        for i in range(VALUES):
            key, value = "k%d-%d" % (index, i), (b"%d." % (index * 1000 + i)) * (i % 50 + 1)
            expect(client.ask("set %s 0 0 %d" % (key, len(value)), value), "STORED", "set")
            expect(client.get(key), value, "get")
            if i % 10 == 0:
                expect(client.ask("delete " + key), "DELETED", "delete")
                expect(client.get(key), None, "get of a deleted key")
            client.ask("incr counter 1")
        for i in range(VALUES):
            key, value = "k%d-%d" % (index, i), (b"%d." % (index * 1000 + i)) * (i % 50 + 1)
            expect(client.get(key), None if i % 10 == 0 else value, "get")
        client.close()

    together(CLIENTS, work)
    context.check_active(server)
    result = {"counter": first.get("counter").decode().strip()}
    expect(result["counter"], str(CLIENTS * VALUES), "the counter")
    until(lambda: context.descriptors(server) <= before, 10, "memcached closes its connections")
    first.close()
    result["status"] = context.stop(server)
    return result
