"""The file object: what `io` promises, and what it refuses."""

import array
import errno
import io
import multiprocessing
import os
import pickle
import threading
import unittest

import luksmith
from real import MIB, PASSPHRASE, Images, content


class FileObject(Images):
    def setUp(self):
        super().setUp()
        self.data = content(MIB)
        self.image = self.luks1(self.data)

    def open(self, **options):
        disk = luksmith.open(self.image, PASSPHRASE, **options)
        self.addCleanup(disk.close)
        return disk

    def test_positions(self):
        disk = self.open()
        self.assertEqual(disk.seek(-3, io.SEEK_END), MIB - 3)
        self.assertEqual(disk.read(), self.data[-3:])
        self.assertEqual(disk.read(), b"")
        self.assertEqual(disk.seek(5 * MIB), 5 * MIB)
        self.assertEqual(disk.read(1), b"")
        self.assertEqual(disk.tell(), 5 * MIB)
        disk.seek(10)
        self.assertEqual(disk.seek(-4, io.SEEK_CUR), 6)
        self.assertEqual(disk.read(4), self.data[6:10])
        for offset, whence, error in [
            (-1, 0, ValueError),
            (0, 3, ValueError),
            (1 << 63, 0, OverflowError),
            (1 << 200, 0, OverflowError),
            ("0", 0, (TypeError, AttributeError)),
        ]:
            with self.subTest(offset=offset), self.assertRaises(error):
                disk.seek(offset, whence)
        self.assertEqual(disk.tell(), 10)

    def test_reads_at_offsets(self):
        disk = self.open()
        disk.seek(77)
        for offset, size in [(0, 0), (0, 1), (511, 2), (1000, 70_000), (MIB - 1, 5), (MIB, 1), (1 << 62, 1)]:
            self.assertEqual(disk.pread(offset, size), self.data[offset : offset + size])
        self.assertEqual(disk.tell(), 77)
        for offset, size, error in [(-1, 1, ValueError), (0, -1, ValueError), (1 << 63, 1, OverflowError)]:
            with self.assertRaises(error):
                disk.pread(offset, size)

    def test_buffers_are_filled(self):
        disk = self.open()
        for buffer in [bytearray(1000), memoryview(bytearray(1000)), array.array("I", bytes(1000))]:
            disk.seek(100)
            self.assertEqual(disk.readinto(buffer), 1000)
            self.assertEqual(bytes(buffer), self.data[100:1100])
        large = bytearray(3 * MIB)
        self.assertEqual(disk.preadinto(1, large), MIB - 1)
        self.assertEqual(large[: MIB - 1], self.data[1:])
        self.assertEqual(large[MIB - 1 :], bytes(2 * MIB + 1))
        for buffer, error in [
            (bytes(10), TypeError),
            (memoryview(bytes(10)), TypeError),
            (memoryview(bytearray(10))[::2], BufferError),
            ("text", TypeError),
            (None, TypeError),
        ]:
            with self.subTest(buffer), self.assertRaises(error):
                disk.readinto(buffer)

    def test_writes(self):
        disk = self.open(readonly=False)
        disk.seek(3)
        self.assertEqual(disk.write(bytearray(b"abc")), 3)
        self.assertEqual(disk.write(memoryview(b"xdxexf")[1::2].tobytes()), 3)
        self.assertEqual(disk.write(array.array("H", [0x4241])), 2)
        self.assertEqual(disk.tell(), 11)
        self.assertEqual(disk.pread(3, 8), b"abcdefAB")
        with self.assertRaises(BufferError):
            disk.write(memoryview(b"xdxexf")[1::2])
        for wrong in ["text", None, 5, [1]]:
            with self.subTest(wrong), self.assertRaises(TypeError):
                disk.write(wrong)

    def test_what_goes_past_the_end_is_not_written(self):
        disk = self.open(readonly=False)
        for offset, data in [(MIB - 1, b"xy"), (MIB, b"x"), (1 << 62, b"x")]:
            with self.assertRaises(OSError) as raised:
                disk.pwrite(offset, data)
            self.assertEqual(raised.exception.errno, errno.ENOSPC)
        self.assertEqual(disk.pread(MIB - 1, 1), self.data[-1:])
        self.assertEqual(disk.pwrite(MIB, b""), 0)
        with self.assertRaises(OverflowError):
            disk.pwrite(1 << 63, b"x")

    def test_a_reader_writes_nothing(self):
        disk = self.open()
        self.assertFalse(disk.writable())
        self.assertTrue(disk.readable() and disk.seekable())
        with self.assertRaises(OSError) as raised:
            disk.write(b"x")
        self.assertEqual(raised.exception.errno, errno.EROFS)
        disk.flush()

    def test_the_size_is_fixed(self):
        disk = self.open(readonly=False)
        for size in [None, 0, MIB, 2 * MIB]:
            with self.assertRaises(io.UnsupportedOperation):
                disk.truncate(size)
        with self.assertRaises(io.UnsupportedOperation):
            disk.fileno()

    def test_nothing_is_done_after_the_end(self):
        disk = self.open(readonly=False)
        disk.close()
        disk.close()
        self.assertTrue(disk.closed)
        for act in [
            lambda: disk.read(1),
            lambda: disk.readinto(bytearray(1)),
            lambda: disk.write(b"x"),
            lambda: disk.pread(0, 1),
            lambda: disk.pwrite(0, b"x"),
            lambda: disk.seek(0),
            lambda: disk.tell(),
            lambda: disk.flush(),
            lambda: disk.truncate(0),
            lambda: disk.writable(),
            lambda: disk.__enter__(),
        ]:
            self.assertRaises(ValueError, act)
        self.assertIn("closed", repr(disk))
        luksmith.open(self.image, PASSPHRASE, readonly=False).close()

    def test_it_is_neither_copied_nor_pickled(self):
        with self.assertRaises(TypeError):
            pickle.dumps(self.open())

    def test_a_buffer_keeps_its_size_while_it_is_used(self):
        disk = self.open()
        buffer = bytearray(MIB)
        stop = threading.Event()
        refused = []

        def resize():
            while not stop.is_set():
                try:
                    buffer.append(0)
                    buffer.pop()
                except BufferError as error:
                    refused.append(error)

        thread = threading.Thread(target=resize)
        thread.start()
        for _ in range(50):
            self.assertIn(disk.preadinto(0, buffer), (MIB, MIB + 1))
        stop.set()
        thread.join()
        self.assertEqual(buffer[:MIB], self.data)

    def test_threads_share_the_position(self):
        disk = self.open()
        parts = []

        def read():
            while part := disk.read(1024):
                parts.append(part)

        threads = [threading.Thread(target=read) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(parts), sorted(self.data[at : at + 1024] for at in range(0, MIB, 1024)))

    def test_threads_write_and_read_stamps(self):
        disk = self.open(readonly=False)
        wrong = []

        def stamp(number):
            own = number * 8192
            for turn in range(40):
                data = bytes([number, turn]) * 2500
                disk.pwrite(own + turn, data)
                if disk.pread(own + turn, 5000) != data:
                    wrong.append((number, turn))

        threads = [threading.Thread(target=stamp, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_closed_while_others_read(self):
        disk = self.open()
        strange = []

        def read():
            try:
                while True:
                    if disk.pread(4096, 4096) != self.data[4096:8192]:
                        strange.append("other bytes")
            except ValueError:
                pass
            except Exception as error:
                strange.append(error)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        disk.close()
        for thread in threads:
            thread.join()
        self.assertEqual(strange, [])

    def test_another_process_does_not_use_it(self):
        disk = self.open(readonly=False)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            said = []
            for act in [lambda: disk.read(1), lambda: disk.write(b"x"), lambda: disk.flush()]:
                try:
                    act()
                    said.append("done")
                except ValueError as error:
                    said.append("another process" if "another process" in str(error) else str(error))
            disk.close()
            said.append(str(disk.closed))
            os.write(writer, ",".join(said).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            self.assertEqual(pipe.read(), "another process,another process,another process,True")
        # The end of the other process has not given up what keeps others out.
        with self.assertRaises(luksmith.BusyError):
            luksmith.open(self.image, PASSPHRASE)
        disk.pwrite(0, b"still ours")
        self.assertEqual(disk.pread(0, 10), b"still ours")

    def test_a_process_that_ends_by_itself(self):
        disk = self.open(readonly=False)
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: None)
        child.start()
        child.join()
        self.assertEqual(child.exitcode, 0)
        with self.assertRaises(luksmith.BusyError):
            luksmith.open(self.image, PASSPHRASE)


if __name__ == "__main__":
    unittest.main()
