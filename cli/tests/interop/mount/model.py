"""Operations of every kind on the file of a mount and on a model of it, and a server that is killed.

model.py PROGRAM BOX KEY TARGET OPERATIONS KILLS SEED

The file is the model at any time, also after a kill: a write that has succeeded has reached the image."""

import ctypes
import mmap
import os
import random
import select
import signal
import subprocess
import sys

program, box, key, target = sys.argv[1:5]
operations, kills, seed = map(int, sys.argv[5:8])
rng = random.Random(seed)
plain = os.path.join(target, "plain")
pid_file = target + ".pid"
BLOCK = 512
PAGE = 4096
ZERO_RANGE, PUNCH_HOLE, KEEP_SIZE = 0x10, 2, 1
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int] * 2 + [ctypes.c_longlong] * 2


def start():
    mount = [program, "mount", box, target, "--key-file", key, "--pid-file", pid_file, "-q", "--allow-discards"]
    subprocess.run(mount, check=True)
    cached = os.open(plain, os.O_RDWR)
    direct = os.open(plain, os.O_RDWR | os.O_DIRECT)
    return cached, direct


def stop():
    subprocess.run([program, "umount", target, "-q"], check=True)


def kill():
    with open(pid_file) as f:
        number = int(f.read())
    server = os.pidfd_open(number)
    os.kill(number, signal.SIGKILL)
    select.select([server], [], [])
    os.close(server)


mismatches = 0
cached, direct = start()
size = os.fstat(cached).st_size
model = bytearray(os.pread(cached, size, 0))
assert len(model) == size
scratch = mmap.mmap(-1, 256 << 10)
mapped = mmap.mmap(cached, size)


def changed(offset, data):
    model[offset : offset + len(data)] = data


def span(unit, most):
    length = rng.randrange(1, most // unit) * unit
    offset = rng.randrange(0, (size - length) // unit + 1) * unit
    return offset, length


def check(what, offset, seen):
    global mismatches
    if seen != model[offset : offset + len(seen)]:
        mismatches += 1
        print("mismatch:", what, offset, len(seen))


kill_at = set(rng.sample(range(1, operations), kills)) if kills else set()
counts = {}
for number in range(operations):
    kind = rng.choice(
        ["read", "read", "write", "write", "direct read", "direct write", "zero", "punch", "map", "mapped", "sync", "past"]
    )
    counts[kind] = counts.get(kind, 0) + 1
    if kind == "read":
        offset, length = span(1, 64 << 10)
        check(kind, offset, os.pread(cached, length, offset))
    elif kind == "write":
        offset, length = span(1, 64 << 10)
        data = rng.randbytes(length)
        assert os.pwrite(cached, data, offset) == length
        changed(offset, data)
    elif kind == "direct read":
        offset, length = span(BLOCK, 128 << 10)
        view = memoryview(scratch)[:length]
        assert os.preadv(direct, [view], offset) == length
        check(kind, offset, bytes(view))
    elif kind == "direct write":
        offset, length = span(BLOCK, 128 << 10)
        scratch[:length] = rng.randbytes(length)
        view = memoryview(scratch)[:length]
        assert os.pwritev(direct, [view], offset) == length
        changed(offset, bytes(view))
    elif kind in ("zero", "punch"):
        offset, length = span(1, 64 << 10)
        mode = ZERO_RANGE if kind == "zero" else PUNCH_HOLE | KEEP_SIZE
        assert libc.fallocate(cached, mode, offset, length) == 0, ctypes.get_errno()
        changed(offset, bytes(length))
    elif kind == "map":
        offset, length = span(1, 16 << 10)
        check(kind, offset, mapped[offset : offset + length])
    elif kind == "mapped":
        offset, length = span(1, 16 << 10)
        data = rng.randbytes(length)
        mapped[offset : offset + length] = data
        mapped.flush(offset - offset % PAGE, length + offset % PAGE)
        changed(offset, data)
    elif kind == "sync":
        os.fsync(cached)
    elif kind == "past":
        length = rng.randrange(1, 8192)
        offset = size - rng.randrange(0, length)
        check(kind, offset, os.pread(cached, length, offset))
        assert os.pread(cached, length, size + rng.randrange(0, 1 << 40)) == b""
        try:
            os.ftruncate(cached, rng.choice([0, size - 1, size + 1]))
            print("truncated")
            mismatches += 1
        except PermissionError:
            pass
    if number in kill_at:
        kill()
        mapped.close()
        for gone in (cached, direct):
            try:
                os.close(gone)
            except OSError:
                pass
        stop()
        cached, direct = start()
        mapped = mmap.mmap(cached, size)
        check("after a kill", 0, os.pread(cached, size, 0))
check("the end", 0, os.pread(cached, size, 0))
mapped.close()
os.close(cached)
os.close(direct)
stop()
done = subprocess.run([program, "decrypt", box, "-", "--key-file", key, "-q"], check=True, stdout=subprocess.PIPE)
check("decrypt", 0, done.stdout)
print("operations", operations, "kills", kills, dict(sorted(counts.items())))
print("mismatches", mismatches)
