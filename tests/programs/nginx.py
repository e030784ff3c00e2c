"""nginx with two worker processes under wrk, without and with its thread pool (aio threads): small and large files, many connections at
once, ranges, a reload under load, a graceful end. Without the pool it has no threads, and handoff leaves it alone."""

import hashlib
import os
import re
import shutil
import signal
import socket
import threading
import urllib.request

from common import Failure, data_file, free_port, group_members, need, together, until

CONF = """
daemon off;
{user}
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log;
{pool}
events {{ worker_connections 1024; {accept} }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {dir}/www;
    location / {{ sendfile on; {aio} }}
    location /copied/ {{ alias {dir}/www/; sendfile off; {aio} output_buffers 2 64k; }}
  }}
}}
"""


def prepare(scratch, port, pool):
    """Write files and configuration; the command."""
    www = os.path.join(scratch, "www")
    os.mkdir(www)
    with open(os.path.join(www, "small"), "w") as f:
        f.write("hello from nginx\n")
    data_file(os.path.join(www, "large"), 3000000)
    conf = os.path.join(scratch, "conf")
    with open(conf, "w") as f:
        f.write(CONF.format(dir=scratch, port=port, user="user root;" if os.getuid() == 0 else "",
                            pool="thread_pool default threads=16 max_queue=65536;" if pool else "",
                            aio="aio threads=default;" if pool else "", accept="accept_mutex off;"))
    return [shutil.which("nginx"), "-e", os.path.join(scratch, "error.log"), "-c", conf, "-p", scratch]


def serve(context, pool):
    need("nginx", "wrk")
    port = free_port()
    server = context.start(prepare(context.scratch, port, pool))
    context.wait_port(server, port)
    url = "http://127.0.0.1:%d/" % port
    with open(context.path("www/large"), "rb") as f:
        data = f.read()
    want = hashlib.sha256(data).hexdigest()

    def wrk(path, seconds):
        out, _, _ = context.run(["wrk", "-c100", "-t2", "-d%ds" % seconds, "--timeout", "20s", "--latency", url + path])
        rate = re.search(r"Requests/sec:\s+([0-9.]+)", out)
        if "Non-2xx" in out or "Socket errors" in out or not rate or float(rate.group(1)) == 0:
            raise Failure("wrk saw errors: %s" % " ".join(out.split())[-300:])
        return float(rate.group(1))

    context.info["requests/s"] = wrk("small", 2)
    context.info["copied/s"] = wrk("copied/small", 1)
    if pool:
        context.check_active(server)

    def fetch(index):
        for path in ("large", "copied/large"):
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                if hashlib.sha256(answer.read()).hexdigest() != want:
                    raise Failure("the file came back changed")
            begin = 1000 * index
            request = urllib.request.Request(url + path, headers={"Range": "bytes=%d-%d" % (begin, begin + 99999)})
            with urllib.request.urlopen(request, timeout=30) as answer:
                if answer.status != 206 or answer.read() != data[begin:begin + 100000]:
                    raise Failure("the range came back changed")

    together(30, fetch)

    # a slow reader does not stop the others, and gets all of it
    slow = socket.create_connection(("127.0.0.1", port), 30)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.sendall(b"GET /copied/large HTTP/1.0\r\n\r\n")  # and does not read yet
    together(10, fetch)
    got = b""
    while True:
        piece = slow.recv(65536)
        if not piece:
            break
        got += piece
    if hashlib.sha256(got.split(b"\r\n\r\n", 1)[1]).hexdigest() != want:
        raise Failure("the slow reader's file came back changed")
    slow.close()

    # reload: new workers take over, the old ones end, nobody's request fails
    before = set(group_members(server.pid))
    errors = []

    def keep_asking():
        try:
            while not done.is_set():
                with urllib.request.urlopen(url + "small", timeout=30) as answer:
                    if answer.read() != b"hello from nginx\n":
                        raise Failure("another answer")
        except Exception as e:  # told below
            errors.append(e)

    done = threading.Event()
    asker = threading.Thread(target=keep_asking, daemon=True)
    asker.start()
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: len(set(group_members(server.pid)) - before) == 2, 20, "two new nginx workers")
    until(lambda: len(set(group_members(server.pid)) & before) == 1, 30, "the old nginx workers have ended")
    done.set()
    asker.join(30)
    if errors:
        raise Failure("a request failed at the reload: %r" % errors[0])
    with open(context.path("error.log"), errors="replace") as f:
        bad = [line for line in f if re.search(r"\[(alert|crit|emerg|error)\]|signal \d+ \(core", line)]
    if bad:
        raise Failure("nginx says: %s" % bad[0].strip()[-300:])
    return {"status": context.stop(server, number=signal.SIGQUIT)}


def plain(context):
    return serve(context, False)


def pool(context):
    return serve(context, True)
