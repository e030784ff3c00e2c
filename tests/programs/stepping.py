"""A debugger's view, instruction by instruction: from every one between read() and its return, unwinding reaches main."""

from common import Failure, need

# Runs inside gdb.
SCRIPT = """
import gdb

def names():
    found, frame = [], gdb.selected_frame()
    while frame is not None and len(found) < 60:
        found.append(frame.name() or "?")
        frame = frame.older()
    return found

for command in ("pagination off", "confirm off", "debuginfod enabled off", "startup-with-shell off"):
    gdb.execute("set " + command)
gdb.execute("handle SIG33 nostop noprint pass")
gdb.execute("break stepped")
gdb.execute("run")
gdb.execute("set scheduler-locking step")
gdb.execute("break *(&read)")
steps = calls = stubs = 0
for call in range(6):
    gdb.execute("continue", to_string=True)
    if call == 3:  # stepped() again, by libc's other way, where the instruction behind the syscall is displaced
        gdb.execute("set var *(char *)&__libc_single_threaded = 1")
        gdb.execute("continue", to_string=True)
    while True:
        seen = names()
        stubs += seen[0] == "handoff_stub"
        if "stepped" not in seen or "main" not in seen:
            print("LOST at %s: %s" % (gdb.execute("x/i $pc", to_string=True).strip(), " < ".join(seen)))
        if seen[0] == "stepped":
            break
        gdb.execute("stepi", to_string=True)
        steps += 1
    calls += 1
print("CALLS %d STEPS %d STUBS %d" % (calls, steps, stubs))
gdb.execute("kill")
"""


def run(context):
    need("gdb")
    script = context.path("steps.py")
    with open(script, "w") as f:
        f.write(SCRIPT)
    command = ["gdb", "-nx", "-q", "-batch"]
    for name, value in ([("LD_PRELOAD", context.lib)] if context.lib else []) + list(context.options.items()):
        command += ["-ex", "set env %s %s" % (name, value)]
    out, err, _ = context.run(command + ["-x", script, context.program("stepped")], bound=100, check=False)
    lost = [line for line in out.splitlines() if line.startswith("LOST")]
    if lost:
        raise Failure("%d instructions: %s" % (len(lost), lost[0]))
    done = [line.split() for line in out.splitlines() if line.startswith("CALLS")]
    if not done or done[0][1] != "6":
        raise Failure("the debugger did not come through: %s" % (out + err)[-800:])
    context.info["instructions"] = int(done[0][3])
    stubs = int(done[0][5])
    if context.lib and (context.info["instructions"] < 600 or stubs < 3 * 4 + 3 * 5):
        raise Failure("that was not the way through the shim: %s instructions, %d in stubs" % (done[0][3], stubs))
    return {"calls": 6}
