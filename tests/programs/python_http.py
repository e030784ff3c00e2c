"""Python's ThreadingHTTPServer with 100 clients at once."""

import hashlib
import os
import urllib.request

from common import Failure, together, until

SERVER = """
import http.server, hashlib, signal, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = hashlib.shake_256(self.path.encode()).digest(20000)
        if self.path.endswith("slow"):
            time.sleep(0.02)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
server = Server(("127.0.0.1", 0), Handler)
def stop(*_):
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
print(server.server_address[1], flush=True)
server.serve_forever(0.05)
server.server_close()
sys.exit(7)
"""


def run(context):
    script = context.path("server.py")
    with open(script, "w") as f:
        f.write(SERVER)
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else "python3"
    server = context.start([python, script])

    def port_told():
        if server.poll() is not None:
            raise Failure("the server ended at start: %s" % context.tail(server))
        with open(server.log) as f:
            return f.read().strip()

    port = int(until(port_told, 30, "the server starts").split()[-1])

    def ask(index):
        for i in range(10):
            path = "/%d-%d%s" % (index, i, "slow" if i % 3 == 0 else "")
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=50) as answer:
                if answer.read() != hashlib.shake_256(path.encode()).digest(20000):
                    raise Failure("%s came back changed" % path)

    together(1, ask)
    before = context.descriptors(server)
    together(100, ask)
    context.check_active(server)
    until(lambda: context.descriptors(server) <= before, 10, "the server closes its connections")
    return {"status": context.stop(server)}
