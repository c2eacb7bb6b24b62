"""The types that are promised are those that are there."""

import subprocess
import sys
import unittest

from real import Images

USES = """
import io
import os
import pathlib
import luksmith

for source in ("a", b"a", pathlib.Path("a"), 5, io.BytesIO(), open("a", "rb"), luksmith.open("a", "p")):
    with luksmith.open(source, lambda: b"p", readonly=False, key_slot=3, max_time=1.5) as disk:
        number: int = disk.write(memoryview(b"x"))
        data: bytes = disk.pread(0, 5)
        io.BufferedReader(disk).read()
luksmith.format(pathlib.Path("a"), bytearray(b"p"), size=5, type="luks1", pbkdf="pbkdf2", pbkdf_time=0.5)
luksmith.encrypt(io.BytesIO(), "b", "p", progress=lambda done, total: print(done), label=None)
"""

WRONG = [
    "luksmith.open(5.0, 'p')",
    "luksmith.open('a', 5)",
    "luksmith.open('a', 'p', readnoly=True)",
    "luksmith.open('a', 'p', key_slot='1')",
    "luksmith.format('a', 'p', type='luks3')",
    "luksmith.encrypt('a', io.BytesIO(), 'p')",
    "luksmith.encrypt('a', 'b', 'p', progress=lambda: None)",
]


def checked(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


class Types(Images):
    def test_the_package_itself(self):
        done = checked("mypy", "--strict", "--cache-dir", self.folder, "-p", "luksmith")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_stubs_are_what_is_there(self):
        done = checked("mypy.stubtest", "luksmith")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_uses_that_are_right_and_wrong(self):
        right = self.file("right.py", USES.encode())
        wrong = self.file("wrong.py", "\n".join(["import io", "import luksmith", *WRONG]).encode())
        done = checked("mypy", "--strict", "--cache-dir", self.folder, right)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = checked("mypy", "--strict", "--cache-dir", self.folder, wrong)
        lines = {line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line}
        self.assertEqual(lines, {str(number + 3) for number in range(len(WRONG))}, done.stdout)


if __name__ == "__main__":
    unittest.main()
