"""What the protocol's text says of STARTTLS, byte by byte, of the server at 127.0.0.1:PORT.

Usage: tls.py PORT CA
"""
import random
import socket
import ssl
import struct
import sys

from by_hand import exactly, is_over, option

PORT, CA = int(sys.argv[1]), sys.argv[2]
OPTION, REPLY = b"IHAVEOPT", 0x3E889045565A9
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED = 1, 2, 3, 5, 6, 7, 8
ACK, SERVER = 1, 2
UNSUPPORTED, INVALID, TLS_REQUIRED = ((1 << 31) + n for n in (1, 3, 5))


def ask(stream, number, data=b""):
    stream.sendall(option(number, data))
    said = []
    while True:
        magic, of, kind, length = struct.unpack(">QIII", exactly(stream, 20))
        assert (magic, of) == (REPLY, number), (hex(magic), of)
        exactly(stream, length)
        said.append(kind)
        if kind == ACK or kind >> 31:
            return said


def greeted():
    stream = socket.create_connection(("127.0.0.1", PORT), timeout=300)
    assert exactly(stream, 18) == b"NBDMAGIC" + OPTION + b"\0\3"
    stream.sendall(b"\0\0\0\3")
    return stream


context = ssl.create_default_context(cafile=CA)


def secured(stream):
    return context.wrap_socket(stream, server_hostname="localhost")


# Nothing but STARTTLS and ABORT before TLS.
plain = greeted()
for number, data in [(LIST, b""), (INFO, bytes(6)), (GO, bytes(6)), (STRUCTURED, b""), (77, b"x")]:
    assert ask(plain, number, data) == [TLS_REQUIRED], number
assert ask(plain, STARTTLS, b"x") == [INVALID]
assert ask(plain, STARTTLS) == [ACK]
with secured(plain) as tls:
    assert tls.version() in ("TLSv1.2", "TLSv1.3")
    assert ask(tls, STARTTLS) == [INVALID]
    assert ask(tls, LIST) == [SERVER, ACK]
    assert ask(tls, STRUCTURED) == [ACK]
    assert ask(tls, GO, bytes(6))[-1] == ACK
    # A read of 16 bytes, then the end.
    tls.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 5, 0, 16))
    magic, flags, kind, cookie, length = struct.unpack(">IHHQI", exactly(tls, 20))
    assert (magic, flags, kind, cookie, length) == (0x668E33EF, 1, 1, 5, 24)
    exactly(tls, 24)
    tls.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 2, 6, 0, 0))
    assert is_over(tls)
aborted = greeted()
assert ask(aborted, ABORT) == [ACK] and is_over(aborted)
named = greeted()
named.sendall(option(EXPORT_NAME))
assert is_over(named)
# What is sent in the clear behind STARTTLS is never taken for what TLS has carried.
injected = greeted()
injected.sendall(option(STARTTLS) + option(LIST))
exactly(injected, 20)
assert is_over(injected)
# The older version, for whoever has no other.
old = ssl.create_default_context(cafile=CA)
old.maximum_version = ssl.TLSVersion.TLSv1_2
stream = greeted()
assert ask(stream, STARTTLS) == [ACK]
with old.wrap_socket(stream, server_hostname="localhost") as tls:
    assert tls.version() == "TLSv1.2" and ask(tls, LIST) == [SERVER, ACK]

# Noise in place of a session, and sessions with a byte of them changed: each is over, and nobody else's business.
chance = random.Random(20)
begun = greeted()
assert ask(begun, STARTTLS) == [ACK]
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
try:
    hello.do_handshake()
except ssl.SSLWantReadError:
    pass
hello = outgoing.read()
for turn in range(300):
    stream = greeted()
    assert ask(stream, STARTTLS) == [ACK]
    data = bytearray(hello if turn % 3 else chance.randbytes(chance.randrange(1, 600)))
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        stream.sendall(data[: chance.randrange(1, len(data) + 1)])
        stream.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    assert is_over(stream), turn
# Inside of a session as well.
for turn in range(100):
    stream = greeted()
    assert ask(stream, STARTTLS) == [ACK]
    tls = secured(stream)
    raw = socket.socket(fileno=tls.detach())
    raw.settimeout(300)
    raw.sendall(chance.choice([b"\x17\x03\x03\x00\x20", b"\x15\x03\x03\x00\x02", b""]) + chance.randbytes(60))
    raw.shutdown(socket.SHUT_WR)
    assert is_over(raw), turn
    raw.close()
# Who asks for TLS and then says nothing, or says it slowly, is let go.
silent, slow = greeted(), greeted()
assert ask(silent, STARTTLS) == ask(slow, STARTTLS) == [ACK]
try:
    slow.settimeout(1)
    for byte in hello:
        slow.sendall(bytes([byte]))
        try:
            if not slow.recv(1):
                break
        except TimeoutError:
            pass
    else:
        sys.exit("a client that is slow was waited for")
except OSError:
    pass
assert is_over(silent)
last = greeted()
assert ask(last, STARTTLS) == [ACK]
with secured(last) as tls:
    assert ask(tls, LIST) == [SERVER, ACK]
print("right")
