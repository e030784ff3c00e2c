"""MariaDB, a thread per connection, under sysbench and mysqlslap with 200 connections; then the data is checked."""

import os
import re
import shutil
import tempfile

from common import Failure, free_port, need

CONNECTIONS = 200


def run(context):
    need("mariadbd", "mariadb-install-db", "mariadb", "sysbench", "mysqlslap")
    data = context.path("data")
    context.run(install(data), bound=120)
    port, where = free_port(), tempfile.mkdtemp(prefix="handoff-db-")  # a socket's path must be short
    try:
        return under_load(context, data, port, os.path.join(where, "s"))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def user():
    return ["--user=root"] if os.getuid() == 0 else []


def install(data):
    return ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir=" + data] + user()


def command(data, port, sock, pool="64M"):
    return [shutil.which("mariadbd"), "--no-defaults", "--datadir=" + data, "--socket=" + sock, "--bind-address=127.0.0.1",
            "--port=%d" % port, "--skip-name-resolve", "--max-connections=500", "--innodb-buffer-pool-size=" + pool,
            "--innodb-flush-log-at-trx-commit=2", "--thread-handling=one-thread-per-connection", "--pid-file=" + sock + ".pid"] + user()


def under_load(context, data, port, sock):
    server = context.start(command(data, port, sock))
    context.wait_port(server, port, 60)
    connect = ["--protocol=tcp", "--host=127.0.0.1", "--port=%d" % port, "--user=root"]

    def sql(text):
        return context.run(["mariadb", "--no-defaults", *connect, "-N", "-B", "-e", text])[0].strip()

    sql("create database sbtest; create database slap; create table slap.c (id int primary key, n int not null) engine=innodb;"
        + "".join("insert into slap.c values (%d, 0);" % i for i in range(20)))
    bench = ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=%d" % port,
             "--mysql-user=root", "--mysql-db=sbtest", "--tables=4", "--table-size=1000"]
    context.run(bench + ["prepare"])
    out, _, _ = context.run(bench + ["--threads=%d" % CONNECTIONS, "--time=5", "--mysql-ignore-errors=1213,1020,1205", "run"])
    rate = re.search(r"transactions:\s+(\d+)\s+\(([0-9.]+) per sec", out)
    if not rate or int(rate.group(1)) == 0:
        raise Failure("sysbench made no transaction: %s" % out[-300:])
    context.info["transactions/s"] = float(rate.group(2))
    context.check_active(server)
    context.run(["mysqlslap", "--no-defaults", *connect, "--concurrency=%d" % CONNECTIONS, "--number-of-queries=4000",
                 "--create-schema=slap", "--no-drop", "--delimiter=;",
                 "--query=update c set n = n + 1 where id = 7"])
    result = {
        "sum": sql("select sum(n) from slap.c"),
        "rows": sql("select count(*) from sbtest.sbtest1"),
        "check": sql("check table sbtest.sbtest1, sbtest.sbtest2, sbtest.sbtest3, sbtest.sbtest4, slap.c").count("status\tOK"),
    }
    if result != {"sum": "4000", "rows": "1000", "check": 5}:
        raise Failure("the data is wrong: %s" % result)
    result["status"] = context.stop(server, 60)
    return result
