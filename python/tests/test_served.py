"""A plaintext for other programs: over NBD and by FUSE."""

import gc
import os
import sys
import unittest

import luksmith
from real import MIB, PASSPHRASE, Images, content, run


class Served(Images):
    def setUp(self):
        super().setUp()
        self.image = self.luks1(content(MIB))

    def test_qemu_reads_and_writes_over_nbd(self):
        with luksmith.serve(self.image, PASSPHRASE) as server:
            self.assertEqual(server.size, MIB)
            run("qemu-img", "convert", "-O", "raw", server.uri, self.path("copy"))
            socket = server.socket
            with luksmith.open(self.image, PASSPHRASE) as disk:
                self.assertEqual(disk.read(8), content(8))
        with open(self.path("copy"), "rb") as copy:
            self.assertEqual(copy.read(), content(MIB))
        self.assertTrue(server.closed)
        self.assertFalse(os.path.exists(os.path.dirname(socket)))
        server.close()
        with luksmith.serve(self.image, PASSPHRASE, socket=self.path("s"), readonly=False) as server:
            new = self.file("new", content(MIB, seed=2))
            run("nbdcopy", new, server.uri)
            with self.assertRaises(luksmith.BusyError):
                luksmith.open(self.image, PASSPHRASE)
        self.assertEqual(self.by_qemu(self.image), content(MIB, seed=2))

    def test_programs_read_and_write_a_mount(self):
        folder = self.path("mount point")
        os.mkdir(folder)
        with luksmith.mount(self.image, folder, PASSPHRASE, readonly=False) as mounted:
            run("dd", f"of={mounted.path}", "conv=notrunc,fsync", "status=none", stdin=b"by dd")
            with open(mounted.path, "rb") as file:
                self.assertEqual(file.read(), b"by dd" + content(MIB)[5:])
        self.assertEqual(os.listdir(folder), [])
        self.assertEqual(self.by_qemu(self.image)[:5], b"by dd")
        over = self.file("file", b"")
        with luksmith.mount(self.image, over, PASSPHRASE) as mounted:
            self.assertEqual(os.path.getsize(over), MIB)
        self.assertEqual(os.path.getsize(over), 0)

    def test_a_file_object_is_served(self):
        with open(self.image, "rb") as file, luksmith.serve(file, PASSPHRASE) as server:
            run("nbdcopy", server.uri, self.path("copy"))
        with open(self.path("copy"), "rb") as copy:
            self.assertEqual(copy.read(), content(MIB))
        folder = self.path("folder")
        os.mkdir(folder)
        with open(self.image, "rb") as file, luksmith.mount(file, folder, PASSPHRASE) as mounted:
            with open(mounted.path, "rb") as plain:
                self.assertEqual(plain.read(), content(MIB))

    def test_what_nobody_has_any_more_ends(self):
        server = luksmith.serve(self.image, PASSPHRASE, readonly=False)
        folder = os.path.dirname(server.socket)
        del server
        gc.collect()
        self.assertFalse(os.path.exists(folder))
        luksmith.open(self.image, PASSPHRASE, readonly=False).close()

    def test_the_end_of_python_unmounts(self):
        folder = self.path("mount")
        os.mkdir(folder)
        program = (
            "import luksmith, os, sys\n"
            "mounted = luksmith.mount(sys.argv[1], sys.argv[2], sys.argv[3])\n"
            "if os.fork() == 0:\n"
            "    sys.exit(0)\n"
            "os.wait()\n"
            "print(open(mounted.path, 'rb').read(8).hex())\n"
        )
        printed = run(sys.executable, "-c", program, self.image, folder, PASSPHRASE)
        self.assertEqual(printed.decode().strip(), content(8).hex())
        self.assertEqual(os.listdir(folder), [])

    def test_what_cannot_be(self):
        taken = self.path("folder")
        os.mkdir(taken)
        self.file("folder/something", b"x")
        for call, error in [
            (lambda: luksmith.mount(self.image, taken, PASSPHRASE), luksmith.InvalidOptionError),
            (lambda: luksmith.mount(self.image, self.path("absent"), PASSPHRASE), FileNotFoundError),
            (lambda: luksmith.mount(self.image, taken), TypeError),
            (lambda: luksmith.serve(self.image, "wrong"), luksmith.NoKeyFitsError),
            (lambda: luksmith.serve(self.image, PASSPHRASE, socket=self.path("absent/s")), FileNotFoundError),
            (lambda: luksmith.serve(self.image, PASSPHRASE, socket=taken), OSError),
            (lambda: luksmith.serve(self.image, PASSPHRASE, sockte="x"), TypeError),
        ]:
            self.assertRaises(error, call)
        luksmith.open(self.image, PASSPHRASE, readonly=False).close()


if __name__ == "__main__":
    unittest.main()
