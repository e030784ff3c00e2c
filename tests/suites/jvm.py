"""A Java program of 200 threads on Debian's OpenJDK: its output is the same natively and under handoff."""

import os

from parts import HERE, Failure, Part, file_text, need, package_version


class Jvm(Part):
    suite = "jvm"
    alone = False
    source = os.path.join(HERE, "jvm", "Threads.java")

    def __init__(self, name, options):
        super().__init__(name, 15)
        self.options = options

    def version(self):
        return package_version("openjdk-17-jre-headless") + file_text(self.source)

    def run(self, run, only=None):
        need("java", "javac")
        lib, run.lib = run.lib, None # the compiler is not what is tested
        status, text = run.command(["javac", "-J-XX:TieredStopAtLevel=1", "-d", run.scratch, self.source])
        run.lib = lib
        if status != 0:
            raise Failure("javac: status %d: %s" % (status, text[:300]))
        status, text = run.command(["java", "-Xmx256m"] + self.options + ["-cp", run.scratch, "Threads"])
        results = {"status": str(status), "lines": str(len(text.splitlines()))}
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            results[word] = "ok " + rest
        if status != 0:
            run.keep(run.path("output"))
        return results


PARTS = [Jvm("threads", []), Jvm("threads-parallel-gc", ["-XX:+UseParallelGC", "-XX:ParallelGCThreads=4"]),
         Jvm("threads-interpreted", ["-Xint"])]
PARTS[2].full = True
