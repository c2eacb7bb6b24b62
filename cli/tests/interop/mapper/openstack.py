"""os-brick's own encryptors, with luksmith as their cryptsetup: attach with format on first use, write, extend, detach.

usage: openstack.py LUKSMITH FOLDER    (as root, by a Python that has os-brick)
"""

import os
import subprocess
import sys

from os_brick.encryptors import luks
from oslo_concurrency import processutils

PASSPHRASE = b"\x07\x25\x23\x0b"
MIB = 1 << 20


class Key:
    """What a key manager hands out."""

    def managed_type(self):
        return "symmetric"

    def get_encoded(self):
        return PASSPHRASE


class Keys:
    """A key manager with one key."""

    def get(self, context, identifier):
        return Key()


def execute(*words, **options):
    """As root already: no helper."""
    options.pop("run_as_root", None)
    options.pop("root_helper", None)
    return processutils.execute(*words, **options)


def volume(kind, folder):
    """A new volume by os-brick's names: the disk, and the link by which it is found."""
    disk = os.path.join(folder, f"disk-{kind}")
    link = os.path.join(folder, f"luksmith-os-brick-{os.getpid()}-{kind}")
    with open(disk, "wb") as file:
        file.truncate(40 * MIB)
    os.symlink(disk, link)
    return disk, link


def encryptor(kind, link):
    """A new object, as each call of OpenStack's services has one."""
    encryptors = {"luks": luks.LuksEncryptor, "luks2": luks.Luks2Encryptor}
    return encryptors[kind](
        root_helper=None,
        connection_info={"data": {"device_path": link, "volume_id": kind}},
        keymgr=Keys(),
        execute=execute,
        encryption_key_id="key",
    )


def tried(kind, folder):
    disk, link = volume(kind, folder)
    how = {"cipher": "aes-xts-plain64", "key_size": 256}
    written = os.urandom(3 * MIB)
    encryptor(kind, link).attach_volume(None, **how)
    assert os.path.realpath(link).startswith("/dev/loop"), os.path.realpath(link)
    try:
        with open(link, "r+b") as device:
            device.seek(MIB)
            device.write(written)
            device.flush()
            os.fsync(device.fileno())
            before = device.seek(0, os.SEEK_END)
        os.truncate(disk, 48 * MIB)
        after = encryptor(kind, link).extend_volume(None, **how)
        assert after == before + 8 * MIB, (before, after)
        with open(link, "r+b") as device:
            device.seek(after - len(written))
            device.write(written)
            os.fsync(device.fileno())
    finally:
        encryptor(kind, link).detach_volume()
    assert not os.path.lexists(os.path.realpath(f"/dev/mapper/crypt-{os.path.basename(link)}"))
    # Once more, which formats nothing.
    os.unlink(link)
    os.symlink(disk, link)
    encryptor(kind, link).attach_volume(None, **how)
    try:
        with open(link, "rb") as device:
            device.seek(MIB)
            assert device.read(len(written)) == written
    finally:
        encryptor(kind, link).detach_volume()
    return disk, written, after


def main():
    program, folder = sys.argv[1:]
    tools = os.path.join(folder, "bin")
    os.mkdir(tools)
    os.symlink(os.path.abspath(program), os.path.join(tools, "cryptsetup"))
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin"
    os.environ["LUKSMITH_MAPPER"] = "fuse"
    for kind in ["luks", "luks2"]:
        disk, written, size = tried(kind, folder)
        raw = disk + ".raw"
        words = [program, "decrypt", disk, raw, "-q", "--key-file", "-"]
        subprocess.run(words, input=PASSPHRASE.hex().encode(), check=True)
        with open(raw, "rb") as file:
            data = file.read()
        assert len(data) == size, (len(data), size)
        assert data[MIB : MIB + len(written)] == written
        assert data[-len(written) :] == written
        print(f"{kind}: attached, formatted, written, extended to {size}, detached, read")


main()
