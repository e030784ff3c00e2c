"""stress-ng's stressors, verifying what they do. Most of them make processes rather than threads: those show that a preloaded
library that stays dormant is in nobody's way."""

import re

from parts import Failure, Part, free_port, need, package_version


class StressNg(Part):
    suite = "stress-ng"
    alone = False

    def __init__(self, name, threads=False, full=False, seconds=5, options=()):
        super().__init__(name, seconds)
        self.threads, self.full, self.options = threads, full, list(options)

    def version(self):
        return package_version("stress-ng")

    def port(self):
        # Fixed by default: two at once would be in each other's way.
        return ["--sock-port", str(free_port())] if self.name == "sock" else []

    def run(self, run, only=None):
        need("stress-ng")
        status, text = run.command(["stress-ng", "--" + self.name, "1", "--timeout", str(self.seconds), "--verify", "--oomable",
                                    "--temp-path", run.scratch] + self.options + self.port())
        if status in (3, 4):
            return {self.name: "skip"}
        wrong = re.findall(r"stress-ng: (?:fail|error): .*", text)
        if status != 0 or wrong:
            where = run.keep(run.path("output"))
            if status not in (0, 1, 2):
                raise Failure("status %d: %s (output: %s)" % (status, " / ".join(wrong)[:300], where))
            return {self.name: "fail"}
        return {self.name: "ok"}


PARTS = [StressNg(name, threads=name in ("pthread", "mutex", "sem"))
         for name in ("pthread mutex futex sem sem-sysv poll epoll sock pipe sigq sigsuspend timer fork vfork clone clock").split()]
