"""A C++ std::thread program and an OpenMP one, built here: same output as natively."""

import os

from common import Failure, Skip


def built(context, name):
    program = context.program(name)
    if not os.access(program, os.X_OK):
        raise Skip("%s was not built" % name)
    out, err, status = context.run([program], preload=True, bound=60, check=False)
    if status != 0 or not out:
        raise Failure("status %d: %s" % (status, err[-300:]))
    return {"out": out, "status": status}


def cxx(context):
    return built(context, "cxx_pipeline")


def openmp(context):
    return built(context, "openmp_matrix")
