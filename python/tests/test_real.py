"""What real tools have made is read, and what was written they read."""

import io
import os
import shutil
import unittest

import luksmith
from real import MIB, PASSPHRASE, Images, content, run


class Real(Images):
    def test_luks2_of_cryptsetup_is_read_and_written(self):
        data = content(4 * MIB)
        path = self.luks2(data)
        with luksmith.open(path, PASSPHRASE) as disk:
            self.assertEqual(disk.read(len(data)), data)
            self.assertEqual(disk.sector_size, 512)
            self.assertEqual(disk.keyslot, 0)
        with luksmith.open(path, PASSPHRASE.encode(), readonly=False) as disk:
            disk.seek(1000)
            self.assertEqual(disk.write(b"written by Python"), 17)
            disk.pwrite(2 * MIB, content(MIB, seed=2))
        expected = bytearray(data)
        expected[1000:1017] = b"written by Python"
        expected[2 * MIB : 3 * MIB] = content(MIB, seed=2)
        self.assertEqual(self.by_cryptsetup(path)[: len(data)], expected)

    def test_luks1_of_qemu_is_read_and_written(self):
        data = content(3 * MIB)
        path = self.luks1(data)
        self.assertEqual(luksmith.info(path)["type"], "luks1")
        with luksmith.open(path, PASSPHRASE, readonly=False) as disk:
            self.assertEqual(disk.size, len(data))
            self.assertEqual(disk.read(), data)
            self.assertEqual(disk.pwrite(511, b"two sectors"), 11)
        expected = data[:511] + b"two sectors" + data[522:]
        self.assertEqual(self.by_qemu(path), expected)

    def test_a_detached_header(self):
        data = self.file("data", bytes(MIB))
        header = self.path("header")
        self.format(data, "luks2", "--header", header)
        with luksmith.open(data, PASSPHRASE, header=header, readonly=False) as disk:
            self.assertEqual(disk.size, MIB)
            disk.write(b"behind another file")
        with luksmith.open(data, PASSPHRASE, header=header) as disk:
            self.assertEqual(disk.read(19), b"behind another file")
        self.assertEqual(luksmith.info(header, data=data)["data"]["bytes"], MIB)

    def test_the_volume_key_opens_it(self):
        path = self.empty()
        key = self.path("key")
        run(
            *("cryptsetup", "luksDump", "--dump-volume-key", "--volume-key-file", key, "-q", "--key-file=-", path),
            stdin=PASSPHRASE.encode(),
        )
        with open(key, "rb") as file:
            volume_key = file.read()
        with luksmith.open(path, volume_key=volume_key) as disk:
            self.assertIsNone(disk.keyslot)
            by_key = disk.read(4096)
        with luksmith.open(path, PASSPHRASE) as disk:
            self.assertEqual(disk.read(4096), by_key)
        with self.assertRaises(luksmith.NoKeyFitsError):
            luksmith.open(path, volume_key=bytes(64))

    def test_every_kind_of_source(self):
        data = content(MIB)
        path = self.luks1(data)
        number = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, number)
        with open(path, "rb") as file:
            image = file.read()
        for source in [path, path.encode(), io.BytesIO(image), number]:
            with self.subTest(type(source).__name__):
                self.assertTrue(luksmith.is_luks(source))
                self.assertEqual(luksmith.info(source)["type"], "luks1")
                with luksmith.open(source, PASSPHRASE) as disk:
                    self.assertEqual(disk.read(), data)
        with open(path, "rb") as buffered, luksmith.open(buffered, PASSPHRASE) as disk:
            self.assertEqual(disk.read(), data)
        number = os.open(path, os.O_RDWR)
        with luksmith.open(number, PASSPHRASE, readonly=False) as disk:
            os.close(number)
            disk.write(b"by a descriptor")
        self.assertEqual(self.by_qemu(path)[:15], b"by a descriptor")

    def test_containers_in_containers(self):
        inner = self.luks1(content(MIB))
        with open(inner, "rb") as file:
            image = file.read()
        outer = self.luks1(image, "outer.img")
        with luksmith.open(outer, PASSPHRASE) as file, luksmith.open(file, PASSPHRASE) as disk:
            self.assertEqual(disk.read(), content(MIB))

    def test_other_layers_take_the_file(self):
        path = self.luks1(content(MIB))
        with luksmith.open(path, PASSPHRASE) as disk:
            with io.BufferedReader(disk, 65536) as buffered:
                self.assertEqual(buffered.read(10), content(10))
                buffered.seek(100_003)
                self.assertEqual(buffered.read(7), content(MIB)[100_003:100_010])
        with luksmith.open(path, PASSPHRASE) as disk, open(self.path("copy"), "wb") as copy:
            shutil.copyfileobj(disk, copy, 100_000)
        with open(self.path("copy"), "rb") as copy:
            self.assertEqual(copy.read(), content(MIB))

    def test_others_may_read_and_nobody_may_write(self):
        path = self.luks1(content(MIB))
        with luksmith.open(path, PASSPHRASE), luksmith.open(path, PASSPHRASE) as second:
            self.assertEqual(second.read(8), content(8))
            with self.assertRaises(luksmith.BusyError):
                luksmith.open(path, PASSPHRASE, readonly=False)
        with luksmith.open(path, PASSPHRASE, readonly=False):
            with self.assertRaises(luksmith.BusyError):
                luksmith.open(path, PASSPHRASE)
            with self.assertWarnsRegex(luksmith.LuksmithWarning, "in use"):
                luksmith.open(path, PASSPHRASE, allow_in_use=True).close()
            with self.assertRaises(AssertionError):
                self.by_qemu(path)
        self.assertEqual(self.by_qemu(path), content(MIB))


if __name__ == "__main__":
    unittest.main()
