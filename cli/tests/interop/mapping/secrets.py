"""What a process keeps, and what it has read, for secrets.sh.

memory PID KEYFILE...: each part of a key, raw or as hexadecimal, that stands in memory that the process could write.
reads TRACE BYTES: each byte before BYTES that was read more than once of the files that strace was told of.
"""
import re
import sys


def memory(pid, files):
    parts = []
    for file in files:
        key = open(file, "rb").read()
        for at in range(0, len(key), 16):
            part = key[at:at + 16]
            text = part.hex()
            parts += [part, text.encode(), text.upper().encode()]
    size = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            if line.split()[1][:2] != "rw":
                continue
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            mem.seek(start)
            content = mem.read(end - start)
            size += len(content)
            for part in parts:
                if part in content:
                    print(f"{part[:8]} in {line.strip()}")
    if size < 100 << 10:
        print(f"{size} bytes of memory are too few")


def reads(trace, limit):
    seen, count = [], 0
    for line in open(trace):
        if not re.search(r"\b(read|readv|preadv2?|pread64|mmap|splice|sendfile|copy_file_range)\(", line):
            continue
        found = re.search(r"\bpread64\(.*, (\d+), (\d+)\)\s+= (\d+)$", line)
        if not found:
            print(f"read in a way that is not known: {line.strip()}")
            continue
        _, at, length = (int(number) for number in found.groups())
        count += 1
        end = min(at + length, limit)
        for start_before, end_before in seen:
            if at < end_before and start_before < end:
                print(f"bytes {max(at, start_before)} to {min(end, end_before)} are read again")
        if at < end:
            seen.append((at, end))
    if count == 0:
        print("nothing was read")


if sys.argv[1] == "memory":
    memory(sys.argv[2], sys.argv[3:])
else:
    reads(sys.argv[2], int(sys.argv[3]))
