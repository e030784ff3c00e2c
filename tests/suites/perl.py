"""Perl's threads, threads::shared, Thread::Queue and Thread::Semaphore. Debian ships perl without its t/ folder: perl/*.t were
written for this from the documentation of these modules."""

import os
import re

from parts import HERE, Failure, Part, Skip, file_text, package_version

PERL = "/usr/bin/perl"


class Perl(Part):
    suite = "perl"
    alone = False

    def script(self):
        return os.path.join(HERE, "perl", self.name + ".t")

    def version(self):
        return package_version("perl") + file_text(self.script())

    def run(self, run, only=None):
        if not os.access(PERL, os.X_OK):
            raise Skip("perl is not installed (tools/deps installs it)")
        status, text = run.command([PERL, self.script()])
        results = {}
        for ok, number, name in re.findall(r"^(ok|not ok) (\d+) - (.*)$", text, re.M):
            results["%s %s" % (number, name)] = "ok" if ok == "ok" else "fail"
        results["status"] = str(status)
        if not re.search(r"^1\.\.%d$" % (len(results) - 1), text, re.M):
            raise Failure("not all tests ran, status %d: %s (output: %s)" % (status, text.strip()[-200:], run.keep(run.path("output"))))
        return results


PARTS = [Perl("threads", 4), Perl("shared", 2), Perl("queue", 3), Perl("system", 3)]
