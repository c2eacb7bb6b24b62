"""What is told when what lies below fails.

faults.py URI full|write|sync|fua
faults.py URI gone PROCESS...    the numbers of those that are to be killed
faults.py FILE file-full|file-write|file-sync"""

import errno
import os
import signal
import sys
import time

import nbd

where, what = sys.argv[1:3]
MIB = 1 << 20


def connect():
    h = nbd.NBD()
    h.connect_uri(where)
    return h


def fails(name, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        assert error.errno == name, (error, name, call, arguments)
    except OSError as error:
        assert errno.errorcode[error.errno] == name, (error, name, call, arguments)
    else:
        raise AssertionError((name, call, arguments))


def fill(write, flush, size):
    """Writes until there is no room; how far that was."""
    data = os.urandom(MIB)
    for at in range(0, size, MIB):
        try:
            write(data, at)
        except (nbd.Error, OSError) as error:
            assert error.errno in ("ENOSPC", errno.ENOSPC), error
            assert at > 0
            flush()
            return data, at
    raise AssertionError("there is room for all of it")


def kill(number):
    os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while True:
        try:
            with open(f"/proc/{number}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    return
        except OSError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


if what.startswith("file-"):
    one, other = (os.open(where, os.O_RDWR) for _ in range(2))
else:
    one, other = connect(), connect()

if what == "full":
    data, end = fill(one.pwrite, one.flush, one.get_size())
    far = end + 4 * MIB
    fails("ENOSPC", other.pwrite, data, far)
    fails("ENOSPC", other.pwrite, data, far, nbd.CMD_FLAG_FUA)
    fails("ENOSPC", other.zero, MIB, far)
    # What was answered is there, can be written again, and is durable.
    for at in range(0, end, MIB):
        assert other.pread(MIB, at) == data
    other.pwrite(data[::-1], 0, nbd.CMD_FLAG_FUA)
    one.flush()
    assert connect().pread(MIB, 0) == data[::-1]
elif what == "file-full":
    data, end = fill(lambda data, at: os.pwrite(one, data, at), lambda: os.fsync(one), os.fstat(one).st_size)
    fails("ENOSPC", os.pwrite, other, data, end + 4 * MIB)
    os.pwrite(other, data[::-1], 0)
    os.fsync(one)
    assert os.pread(other, MIB, 0) == data[::-1]
elif what == "write":
    before = one.pread(MIB, 0)
    for h in (one, other):
        for arguments in [(bytes(4096), 0), (b"x", 5), (bytes(4096), 0, nbd.CMD_FLAG_FUA)]:
            fails("EIO", h.pwrite, *arguments)
        fails("EIO", h.zero, 8192, 512)
        # Nothing was promised that could be broken.
        h.flush()
        assert h.pread(MIB, 0) == before
elif what == "file-write":
    before = os.pread(one, MIB, 0)
    for f in (one, other):
        fails("EIO", os.pwrite, f, bytes(4096), 0)
        fails("EIO", os.pwrite, f, b"x", 5)
        os.fsync(f)
elif what in ("sync", "fua"):
    one.pwrite(b"a" * 4096, 0)
    if what == "sync":
        fails("EIO", one.flush)
    else:
        fails("EIO", one.pwrite, b"a" * 4096, 0, nbd.CMD_FLAG_FUA)
    # What was written before may be lost: no later one is to say that it is durable, whoever asks.
    for h in (one, other, connect()):
        for _ in range(3):
            fails("EIO", h.flush)
            fails("EIO", h.pwrite, b"b" * 512, 512, nbd.CMD_FLAG_FUA)
            h.pwrite(b"c" * 512, 1024)
            assert h.pread(512, 1024) == b"c" * 512
elif what == "file-sync":
    os.pwrite(one, b"a" * 4096, 0)
    fails("EIO", os.fsync, one)
    for f in (one, other, os.open(where, os.O_RDWR)):
        for _ in range(3):
            os.pwrite(f, b"b" * 512, 512)
            fails("EIO", os.fsync, f)
elif what == "gone":
    one.pread(4096, 0)
    one.pwrite(b"x" * 4096, 4096)
    for number in sys.argv[3:]:
        kill(int(number))
    for h in (one, other, connect()):
        # Not from what the kernel remembers.
        fails("EIO", h.pread, MIB, 2 * MIB)
        fails("EIO", h.pwrite, b"y" * 4096, 8192)
        fails("EIO", h.flush)
        fails("EIO", h.pwrite, b"y" * 4096, 8192, nbd.CMD_FLAG_FUA)
        fails("EIO", h.flush)
else:
    sys.exit(what)
print("told")
