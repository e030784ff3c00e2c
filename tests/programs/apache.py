"""Apache with mpm_worker under wrk with 200 connections; then large files fetched at once and compared."""

import hashlib
import os
import re
import shutil
import urllib.request

from common import Failure, data_file, free_port, need, together

CONF = """
ServerName localhost
ServerRoot {dir}
PidFile {dir}/pid
ErrorLog {dir}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
{user}
StartServers 4
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MinSpareThreads 64
MaxSpareThreads 256
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot {dir}/www
<Directory {dir}/www>
  Require all granted
</Directory>
"""


def prepare(scratch, port):
    """Write files and configuration; the command."""
    www = os.path.join(scratch, "www")
    os.mkdir(www)
    with open(os.path.join(www, "small"), "w") as f:
        f.write("hello from apache\n")
    data_file(os.path.join(www, "large"), 2000000)
    conf = os.path.join(scratch, "conf")
    with open(conf, "w") as f:
        f.write(CONF.format(dir=scratch, port=port, user="User www-data\nGroup www-data" if os.getuid() == 0 else ""))
    return [shutil.which("apache2"), "-f", conf, "-D", "FOREGROUND"]


def run(context):
    need("apache2", "wrk")
    port = free_port()
    os.chmod(context.scratch, 0o755)
    server = context.start(prepare(context.scratch, port))
    with open(context.path("www/large"), "rb") as f:
        want = hashlib.sha256(f.read()).hexdigest()
    context.wait_port(server, port)
    url = "http://127.0.0.1:%d/" % port
    out, _, _ = context.run(["wrk", "-c200", "-t2", "-d4s", "--timeout", "20s", "--latency", url + "small"])
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    if "Non-2xx" in out or "Socket errors" in out or not rate or float(rate.group(1)) == 0:
        raise Failure("wrk saw errors: %s" % " ".join(out.split())[-300:])
    context.info["requests/s"] = float(rate.group(1))
    context.check_active(server)

    def fetch(_):
        for _ in range(3):
            with urllib.request.urlopen(url + "large", timeout=30) as answer:
                if hashlib.sha256(answer.read()).hexdigest() != want:
                    raise Failure("the file came back changed")

    together(40, fetch)
    return {"status": context.stop(server)}
