"""Clients that nobody wants, and one that is served all the while.

hostile.py PROGRAM BOX KEY FOLDER"""

import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import nbd

from by_hand import exactly, is_over, option

program, box, key, folder = sys.argv[1:5]
path = os.path.join(folder, "s")
uri = "nbd+unix:///?socket=" + path
chance = random.Random(20)
SECRET = b"words that belong in no log"
MIB = 1 << 20

log = open(os.path.join(folder, "log"), "w+")
server = subprocess.Popen(
    [program, "serve", box, "--key-file", key, "--socket", path, "--foreground"], stdout=subprocess.DEVNULL, stderr=log
)


def until(is_so, what):
    deadline = time.monotonic() + 120
    while not is_so():
        assert server.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


until(lambda: os.path.exists(path), "the server does not begin")


def connected():
    stream = socket.socket(socket.AF_UNIX)
    # A queue that is full is waited for.
    stream.connect(path)
    stream.settimeout(120)
    return stream


def greeted():
    stream = connected()
    assert exactly(stream, 18) == b"NBDMAGICIHAVEOPT\0\3"
    stream.sendall(b"\0\0\0\3")
    return stream


def ready():
    stream = greeted()
    # EXPORT_NAME: the size and flags, and no zeros.
    stream.sendall(option(1))
    exactly(stream, 10)
    return stream


def request(command, cookie, offset, length, flags=0):
    return struct.pack(">IHHQQI", 0x25609513, flags, command, cookie, offset, length)


def memory():
    """What it has taken of memory at most, in KiB, without the program itself."""
    lines = dict(line.split(":", 1) for line in open(f"/proc/{server.pid}/status"))
    return int(lines["VmHWM"].split()[0]) - int(lines["RssFile"].split()[0])


class Served(threading.Thread):
    """Somebody who is to notice nothing of it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.turns = 0
        self.wrong = None
        self.is_over = False

    def run(self):
        try:
            h = nbd.NBD()
            h.connect_uri(uri)
            own = random.Random(1)
            while not self.is_over:
                data = own.randbytes(own.randrange(1, 20000))
                at = 40 * MIB + own.randrange(100000)
                h.pwrite(data, at)
                assert h.pread(len(data), at) == data
                self.turns += 1
            h.shutdown()
        except BaseException as error:
            self.wrong = error

    def goes_on(self):
        """Through some turns more."""
        wanted = self.turns + 20
        until(lambda: self.turns >= wanted or self.wrong is not None, "the other client stands still")
        assert self.wrong is None, self.wrong


served = Served()
served.start()
served.goes_on()
at_first = memory()

# An older client sends a request at once; others speak TLS, HTTP, or nothing that anybody knows.
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
try:
    ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
except ssl.SSLWantReadError:
    pass
hello = outgoing.read()
words = [request(0, 1, 0, 512), hello, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", SECRET, b"\0\0\0\3" + SECRET]
words += [chance.randbytes(chance.randrange(4, 3000)) for _ in range(300)]
words += [b"\0\0\0\3" + chance.randbytes(chance.randrange(16, 3000)) for _ in range(300)]
for word in words:
    stream = connected()
    try:
        stream.sendall(word)
        stream.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    assert is_over(stream), word
# A request that is none after the handshake, and one that was cut off.
for word in (SECRET * 2, request(0, 1, 0, 512)[:20], b"\0" * 28):
    stream = ready()
    stream.sendall(word)
    stream.shutdown(socket.SHUT_WR)
    assert is_over(stream), word
served.goes_on()

# Who says no more still hears what he has asked for.
half = ready()
half.sendall(b"".join(request(0, cookie, 0, 512) for cookie in range(3)))
half.shutdown(socket.SHUT_WR)
cookies = sorted(struct.unpack(">IIQ", exactly(half, 528)[:16])[2] for _ in range(3))
assert cookies == [0, 1, 2] and is_over(half)

# Silent ones and slow ones, in whatever part of the handshake, are let go; who has come through it is not.
patient = ready()
silent, quiet, partial = connected(), greeted(), greeted()
partial.sendall(option(6, bytes(6))[:18])
slow = connected()
slow.settimeout(0.5)
for byte in b"\0\0\0\3" + option(3) * 1000:
    try:
        slow.sendall(bytes([byte]))
        while slow.recv(4096):
            pass
        break
    except TimeoutError:
        pass
    except OSError:
        break
else:
    sys.exit("a client that is slow was waited for")
for stream in (silent, quiet, partial):
    assert is_over(stream)
patient.sendall(request(0, 9, 0, 512))
assert struct.unpack(">IIQ", exactly(patient, 528)[:16]) == (0x67446698, 0, 9)
patient.close()
served.goes_on()

# Who sends no data, and who reads no answers, holds up nobody else, whatever he asks for.
stuck = []
for _ in range(15):
    writer, reader = ready(), ready()
    writer.sendall(request(1, 1, 0, 32 * MIB) + bytes(1000))
    reader.sendall(b"".join(request(0, cookie, 0, 32 * MIB) for cookie in range(20)))
    stuck += [writer, reader]
served.goes_on()
for stream in stuck:
    stream.close()

# One after another, and most of them gone before anybody has looked.
for turn in range(10_000):
    stream = connected()
    if turn % 1000 == 0:
        served.goes_on()
    stream.close()

# As many as there may be, and one more. The server may not have found out yet that others have gone.
held = []


def is_full():
    stream = connected()
    try:
        exactly(stream, 18)
    except (EOFError, OSError):
        # Those before may still be going.
        return len(held) >= 63
    stream.sendall(b"\0\0\0\3" + option(1))
    exactly(stream, 10)
    held.append(stream)
    assert len(held) <= 63, "more than 64 connections"
    return False


until(is_full, "there is no end of connections")
assert len(held) == 63
for _ in range(20):
    assert is_over(connected())
served.goes_on()
for stream in held:
    stream.sendall(request(0, 5, 0, 512))
    assert struct.unpack(">IIQ", exactly(stream, 528)[:16]) == (0x67446698, 0, 5)
    stream.close()
served.goes_on()

grown = memory() - at_first
assert grown < 128 << 10, f"{grown} KiB more than at first"
served.is_over = True
served.join()
assert served.wrong is None, served.wrong
server.send_signal(signal.SIGTERM)
assert server.wait() == 0
log.seek(0)
lines = log.read()
for line in (
    "unknown flags of the client",
    "an option without its magic number",
    "a request without its magic number",
    "the handshake takes too long",
    "is refused: there are too many",
    "the client has gone",
    "the client has ended it",
):
    assert line in lines, line
assert "words" not in lines and "HTTP" not in lines
print("turns", served.turns, "KiB", grown)
