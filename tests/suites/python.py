"""Python's own tests, from libpython3.11-testsuite, by regrtest of Debian's interpreter."""

import os
import xml.etree.ElementTree

from parts import Failure, Part, Skip, package_version

PYTHON = "/usr/bin/python3.11"
# Waits for ever natively on a machine whose vsock has no peer.
LEFT_OUT = ["*VSOCK*"]


class Python(Part):
    suite = "python"

    def __init__(self, name, seconds, full=False, use=(), ignore=()):
        super().__init__(name, seconds)
        self.full, self.use, self.ignore = full, list(use), list(ignore)

    def version(self):
        return package_version("python3.11", "libpython3.11-testsuite")

    def run(self, run, only=None):
        if not os.access(PYTHON, os.X_OK):
            raise Skip("%s is not installed (tools/deps installs it)" % PYTHON)
        if not os.path.exists("/usr/lib/python3.11/test/%s" % self.name) and \
                not os.path.exists("/usr/lib/python3.11/test/%s.py" % self.name):
            raise Skip("libpython3.11-testsuite is not installed (tools/deps installs it)")
        junit = run.path("junit.xml")
        # --timeout is there for its watchdog, a thread: with it handoff is active from the start, in tests without
        # threads too. (Longer, and waits that some tests make would be longer too.)
        command = [PYTHON, "-m", "test", "-v", "--timeout", "1200", "--junit-xml", junit, "--tempdir", run.path("work")]
        for what in self.use:
            command += ["-u", what]
        for pattern in LEFT_OUT + self.ignore:
            command += ["-i", pattern]
        for test in only or ():
            command += ["-m", test]
        os.mkdir(run.path("work"))
        status, text = run.command(command + [self.name], {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
        results = {}
        if os.path.exists(junit):
            for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
                kinds = {child.tag for child in case}
                name = case.get("name")
                outcome = "fail" if kinds & {"failure", "error"} else "skip" if "skipped" in kinds else "ok"
                if results.get(name, "ok") == "ok":
                    results[name] = outcome
        if status not in (0, 2) or (status == 2 and "fail" not in results.values()) or not results:
            run.keep(run.path("output"))
            raise Failure("status %d: %s (output: %s)" % (status, " / ".join(text.strip().splitlines()[-3:])[-300:],
                                                          run.keep(run.path("output"))))
        if "fail" in results.values():
            run.keep(run.path("output"))
        return results


PARTS = [
    Python("test_concurrent_futures", 140),
    Python("test_asyncio", 65),
    Python("test_signal", 50),
    Python("test_socket", 30),
    Python("test_subprocess", 25),
    Python("test_threading", 12),
    Python("test_queue", 8),
    Python("test_fork1", 6),
    Python("test_threadsignals", 5),
    Python("test_select", 2),
    Python("test_socketserver", 1, use=["network"]),
    Python("test_thread", 1),
    Python("test_threading_local", 1),
    Python("test_epoll", 1),
    Python("test_eintr", 7),
    Python("test_posix", 1),
    Python("test_os", 2),
    Python("test_time", 3),
    # --full
    Python("test_faulthandler", 20, full=True),
    Python("test_selectors", 15, full=True),
    Python("test_poll", 12, full=True),
    Python("test_wait3", 6, full=True),
    Python("test_wait4", 6, full=True),
    Python("test_io", 40, full=True),
    Python("test_ssl", 20, full=True),
    Python("test_httpservers", 5, full=True),
    Python("test_httplib", 5, full=True),
    Python("test_ftplib", 5, full=True),
    Python("test_logging", 10, full=True),
    Python("test_imaplib", 10, full=True),
    Python("test_smtplib", 5, full=True),
    Python("test_xmlrpc", 5, full=True),
    Python("test_asyncore", 5, full=True),
    Python("test_asynchat", 5, full=True),
    Python("test_pty", 1, full=True),
    Python("test_multiprocessing_fork", 120, full=True),
    Python("test_multiprocessing_forkserver", 150, full=True),
    Python("test_multiprocessing_spawn", 150, full=True),
]
