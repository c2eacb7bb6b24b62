"""What a client of NBD that is written by hand needs."""
import struct


def exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def is_over(stream):
    try:
        while stream.recv(4096):
            pass
        return True
    except OSError as error:
        return not isinstance(error, TimeoutError)


def option(number, data=b""):
    return b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data
