"""Images that real tools make, and what real tools read in ours."""

import functools
import os
import shutil
import subprocess
import tempfile
import unittest

PASSPHRASE = "correct horse"
MIB = 1 << 20
# How often what is done many times is done.
SCALE = 1
MADE = {}


def run(*command, stdin=b""):
    """Runs a tool, whose failure is one of the test."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command} exits {done.returncode}: {done.stderr.decode()}")
    return done.stdout


@functools.cache
def content(size, seed=1):
    """Bytes that tell their place."""
    words = (seed * 0x9E3779B97F4A7C15 + offset & (1 << 64) - 1 for offset in range(0, size, 8))
    return b"".join(word.to_bytes(8, "little") for word in words)[:size]


class Images(unittest.TestCase):
    """A test with a folder of its own, of a name that is not easy."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="luksmith ü ")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, data):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def secret(self):
        return self.file("passphrase", PASSPHRASE.encode())

    def luks2(self, data, name="luks2.img"):
        """A container that cryptsetup has encrypted in its place."""
        path = self.file(name, data + bytes(32 * MIB))
        run(
            *("cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "-q", "--reduce-device-size", "32M"),
            *("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file=-", path),
            stdin=PASSPHRASE.encode(),
        )
        return path

    def empty(self, size=4 * MIB, kind="luks2", name="empty.img", *options):
        """A container that cryptsetup has made, whose data are noise."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.truncate(16 * MIB + size if kind == "luks2" else 2 * MIB + size)
        self.format(path, kind, *options)
        return path

    def format(self, path, kind="luks2", *options):
        run(
            *("cryptsetup", "luksFormat", "--type", kind, "-q", "--pbkdf", "pbkdf2"),
            *("--pbkdf-force-iterations", "1000", *options, "--key-file=-", path),
            stdin=PASSPHRASE.encode(),
        )

    def luks1(self, data, name="luks1.img"):
        """A container that qemu-img has made: it measures for seconds, and so makes each once."""
        path = self.path(name)
        if data not in MADE:
            raw = self.file("raw", data)
            run(
                *("qemu-img", "convert", "-f", "raw", "-O", "luks", "--object", f"secret,id=s,file={self.secret()}"),
                *("-o", "key-secret=s,iter-time=10", raw, path),
            )
            with open(path, "rb") as file:
                MADE[data] = file.read()
        return self.file(name, MADE[data])

    def by_qemu(self, path):
        """The plaintext of a LUKS1 container as qemu-img reads it."""
        raw = self.path("by-qemu")
        run(
            *("qemu-img", "convert", "--object", f"secret,id=s,file={self.secret()}", "-O", "raw", "--image-opts"),
            *(f"driver=luks,file.filename={path},key-secret=s", raw),
        )
        with open(raw, "rb") as file:
            return file.read()

    def by_cryptsetup(self, path):
        """The plaintext of a LUKS2 container as cryptsetup decrypts it in its place, in a copy."""
        copy, header = self.path("by-cryptsetup"), self.path("by-cryptsetup.header")
        shutil.copyfile(path, copy)
        run(
            *("cryptsetup", "reencrypt", "--decrypt", "-q", "--force-offline-reencrypt", "--header", header),
            *("--key-file=-", copy),
            stdin=PASSPHRASE.encode(),
        )
        with open(copy, "rb") as file:
            return file.read()
