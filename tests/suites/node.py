"""A Node.js program of worker_threads, fs, dns, crypto, zlib, http and children: its output is the same natively and under handoff."""

import os
import shutil

from parts import HERE, Part, Skip, file_text, package_version


class Node(Part):
    suite = "node"
    alone = False
    source = os.path.join(HERE, "node", "busy.js")

    def version(self):
        return package_version("nodejs") + file_text(self.source)

    def run(self, run, only=None):
        node = next((p for p in ("/usr/bin/node", "/usr/bin/nodejs") if os.access(p, os.X_OK)), shutil.which("node"))
        if not node:
            raise Skip("nodejs is not installed (tools/deps installs it)")
        status, text = run.command([node, self.source, run.scratch])
        results = {"status": str(status), "lines": str(len(text.splitlines()))}
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            results[word] = "ok " + rest
        if status != 0:
            run.keep(run.path("output"))
        return results


PARTS = [Node("busy", 4)]
