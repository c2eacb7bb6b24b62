"""Every request, flag and error of the protocol, by libnbd: session.py URI BYTES SEED; the export is writable, discards, and
has that many bytes."""

import random
import sys

import nbd

uri, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)


def connect(structured=True):
    h = nbd.NBD()
    h.set_strict_mode(0)
    if structured:
        h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    else:
        h.set_request_structured_replies(False)
    h.connect_uri(uri)
    return h


def fails(errno, what, *arguments):
    try:
        what(*arguments)
    except nbd.Error as error:
        assert error.errno == errno, (error, errno, what, arguments)
        return
    raise AssertionError((errno, what, arguments))


checks = 0
for structured in (True, False):
    h = connect(structured)
    assert h.get_size() == size
    assert h.get_structured_replies_negotiated() == structured
    for can in ("flush", "fua", "trim", "zero", "fast_zero", "cache", "multi_conn"):
        assert getattr(h, "can_" + can)(), can
    assert h.can_df() == structured
    assert not h.is_read_only() and not h.is_rotational()
    block = [h.get_block_size(which) for which in (nbd.SIZE_MINIMUM, nbd.SIZE_PREFERRED, nbd.SIZE_MAXIMUM)]
    assert block == [1, 4096, 32 << 20], block
    model = bytearray(h.pread(size, 0))
    for _ in range(200):
        at = rng.randrange(size)
        length = rng.randrange(1, min(size - at, 100000) + 1)
        flags = rng.choice((0, nbd.CMD_FLAG_FUA))
        what = rng.randrange(6)
        if what == 0:
            data = rng.randbytes(length)
            h.pwrite(data, at, flags)
            model[at : at + length] = data
        elif what == 1:
            h.zero(length, at, flags | rng.choice((0, nbd.CMD_FLAG_NO_HOLE)))
            model[at : at + length] = bytes(length)
        elif what == 2:
            h.flush(flags)
        elif what == 3:
            h.cache(length, at, flags)
        elif what == 4 and structured:
            assert h.pread(length, at, nbd.CMD_FLAG_DF) == model[at : at + length]
        else:
            assert h.pread(length, at) == model[at : at + length]
        checks += 1
    assert h.pread(size, 0) == model
    if structured:
        extents = []

        def heard(context, offset, entries, error):
            assert context == nbd.CONTEXT_BASE_ALLOCATION and error.value == 0
            extents.append((offset, entries))

        # All of it is data, also what was zeroed and what is a hole of the container.
        for flags in (0, nbd.CMD_FLAG_REQ_ONE):
            del extents[:]
            h.block_status(size, 0, heard, flags)
            assert extents == [(0, [size, 0])], extents
        fails("EINVAL", h.block_status, 1, size, heard)

        chunks = []

        def read(data, offset, status, error):
            chunks.append((offset, bytes(data), status))

        assert h.pread_structured(size, 0, read) == model
        assert b"".join(data for _, data, _ in sorted(chunks)) == model
        assert all(status == nbd.READ_DATA for _, _, status in chunks)
    else:
        fails("EINVAL", h.block_status, 1, 0, lambda *a: 0)
    fails("EINVAL", h.pread, 1, size)
    fails("EINVAL", h.pread, 2, size - 1)
    fails("ENOSPC", h.pwrite, b"x", size)
    fails("ENOSPC", h.pwrite, b"xy", size - 1)
    fails("ENOSPC", h.zero, 1, size)
    fails("EINVAL", h.trim, 1, size)
    fails("EINVAL", h.cache, 1, size)
    fails("EINVAL", h.pwrite, b"", 0)
    fails("ENOTSUP", h.zero, 4096, 0, nbd.CMD_FLAG_FAST_ZERO)
    assert h.pread(size, 0) == model
    # Many at once, on one connection.
    replies = {}
    for number in range(64):
        at = rng.randrange(size - 70000)
        buffer = nbd.Buffer(65536 + number)
        replies[h.aio_pread(buffer, at)] = (buffer, at)
    while replies:
        h.poll(-1)
        for cookie in list(replies):
            if h.aio_command_completed(cookie):
                buffer, at = replies.pop(cookie)
                assert buffer.to_bytearray() == model[at : at + len(buffer)]
                checks += 1
    # Two connections see each other's writes at once.
    other = connect()
    h.pwrite(b"seen", 5)
    assert other.pread(4, 5) == b"seen"
    other.flush()
    other.shutdown()
    h.trim(65536, 0, nbd.CMD_FLAG_FUA)
    h.shutdown()

# Options.
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(uri)
names = []
assert h.opt_list(lambda name, description: names.append(name) or 0) == 1 and names == [""]
contexts = []
h.opt_list_meta_context(lambda name: contexts.append(name) or 0)
assert contexts == ["base:allocation"], contexts
h.set_export_name("another")
fails("ENOENT", h.opt_info)
h.set_export_name("")
h.opt_info()
assert h.get_size() == size
h.opt_abort()
print("checks", checks)
