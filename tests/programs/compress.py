"""xz -T4 and zstd -T4: what is compressed under handoff is, byte for byte, what it is natively, and comes back whole."""

import hashlib
import os

from common import Failure, data_file, need


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def round_trip(context, compress, decompress):
    data = context.path("data")
    data_file(data, 12000000)
    packed, back = context.path("packed"), context.path("back")
    with open(packed, "wb") as out:
        context.run(compress + [data], preload=True, stdout=out)
    with open(packed, "rb") as given, open(back, "wb") as out:
        context.run(decompress, preload=True, stdin=given, stdout=out)
    if digest(back) != digest(data):
        raise Failure("the data came back changed")
    if os.path.getsize(packed) * 2 > os.path.getsize(data):
        raise Failure("hardly compressed")
    # A damaged input must fail as it does natively.
    with open(packed, "r+b") as f:
        f.seek(os.path.getsize(packed) // 2)
        f.write(b"damaged!")
    with open(packed, "rb") as given:
        _, _, status = context.run(decompress, preload=True, check=False, stdin=given)
    return {"packed": digest(packed), "status of damaged input": status}


def xz(context):
    need("xz")
    return round_trip(context, ["xz", "-T4", "-2", "--block-size=1MiB", "-c"], ["xz", "-T4", "-dc"])


def zstd(context):
    need("zstd")
    return round_trip(context, ["zstd", "-q", "-T4", "-6", "-B1048576", "-c"], ["zstd", "-q", "-dc"])
