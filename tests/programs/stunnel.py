"""stunnel in thread mode: TLS in front of an echo; many transfers at once, compared by checksum."""

import hashlib
import os
import shutil
import socket
import ssl
import threading

from common import Failure, free_port, need, together, until

SIZE = 1 << 20
CLIENTS = 60


def echo(listener):
    def serve(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def prepare(scratch, port, behind, run):
    """Write a key and the configuration: TLS on `port` before what listens on `behind`. run(words) runs a command. The command."""
    key, cert, conf = (os.path.join(scratch, name) for name in ("key.pem", "cert.pem", "stunnel.conf"))
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert])
    with open(conf, "w") as f:
        f.write("foreground = yes\npid =\ndebug = 4\nsyslog = no\n[tls]\naccept = 127.0.0.1:%d\nconnect = 127.0.0.1:%d\n"
                "cert = %s\nkey = %s\n" % (port, behind, cert, key))
    return [shutil.which("stunnel"), conf]


def run(context):
    need("stunnel", "openssl")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=echo, args=(listener,), daemon=True).start()
    port = free_port()
    server = context.start(prepare(context.scratch, port, listener.getsockname()[1], context.run))
    context.wait_port(server, port)
    settings = ssl.create_default_context()
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE

    def transfer(index):
        data = hashlib.shake_256(b"%d" % index).digest(SIZE)
        with socket.create_connection(("127.0.0.1", port), 30) as plain, settings.wrap_socket(plain) as s:
            s.settimeout(30)
            got = hashlib.sha256()
            for at in range(0, SIZE, 65536):
                part = data[at:at + 65536]
                s.sendall(part)
                have = 0
                while have < len(part):
                    piece = s.recv(65536)
                    if not piece:
                        raise Failure("the connection ended after %d bytes" % (at + have))
                    got.update(piece)
                    have += len(piece)
            if got.digest() != hashlib.sha256(data).digest():
                raise Failure("the data came back changed")

    together(1, transfer)
    before = context.descriptors(server)
    together(CLIENTS, transfer)
    context.check_active(server)
    until(lambda: context.descriptors(server) <= before, 10, "stunnel closes what it opened")
    status = context.stop(server)
    listener.close()
    return {"status": status}
