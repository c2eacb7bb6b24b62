"""Stamped blocks under many clients, some of which are killed, and a server that is killed too.

stress.py PROGRAM BOX KEY FOLDER CLIENTS OPERATIONS KILLS SEED

Each block says its number and version all over, so that a torn or misplaced one shows. A block belongs to one client, which
knows what it may hold: what was answered last, or anything that was sent since."""

import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import nbd

program, box, key, folder = sys.argv[1:5]
clients, operations, kills, seed = map(int, sys.argv[5:9])
BLOCK = 4096
socket = os.path.join(folder, "s")
uri = "nbd+unix:///?socket=" + socket


def stamp(number, version):
    return struct.pack(">QQ", number, version) * (BLOCK // 16)


def start():
    server = subprocess.Popen(
        [program, "serve", box, "--key-file", key, "--socket", socket, "--foreground", "-q"], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None, "the server has ended"
        h = nbd.NBD()
        try:
            h.connect_uri(uri)
            return server, h
        except nbd.Error:
            assert time.monotonic() < deadline, "the server does not begin"
            time.sleep(0.02)


class Client(threading.Thread):
    def __init__(self, number, blocks, budget):
        super().__init__()
        self.rng = random.Random(seed * 1000003 + number)
        self.blocks = blocks
        self.budget = budget
        self.may = {block: {0} for block in blocks}
        self.version = 0
        self.done = 0
        self.wrong = []
        self.gone = False

    def connect(self):
        h = nbd.NBD()
        h.connect_uri(uri)
        return h

    def check(self, block, data):
        version = struct.unpack_from(">Q", data, 8)[0]
        blank = not any(data)
        expected = bytes(BLOCK) if blank else stamp(block, version)
        if bytes(data) != expected or (0 if blank else version) not in self.may[block]:
            self.wrong.append((block, version, sorted(self.may[block])[-3:]))
        else:
            # What was read is there.
            self.may[block] = {0 if blank else version}

    def run(self):
        h = None
        while self.done < self.budget:
            try:
                if h is None:
                    h = self.connect()
                self.step(h)
                self.done += 1
                if self.rng.random() < 0.001:
                    # Killed in the middle: what it has sent may be written or not.
                    block = self.rng.choice(self.blocks)
                    self.version += 1
                    self.may[block].add(self.version)
                    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(stamp(block, self.version))), block * BLOCK)
                    # Its last reference: the connection is closed without a word.
                    h = None
                    # The other one has to be written, or not, before the next.
                    time.sleep(0.2)
            except nbd.Error:
                # The server was killed.
                self.gone = True
                return
        if h is not None:
            try:
                h.shutdown()
            except nbd.Error:
                # It was killed just now.
                pass

    def step(self, h):
        block = self.rng.choice(self.blocks)
        at = block * BLOCK
        what = self.rng.random()
        if what < 0.5:
            self.version += 1
            self.may[block].add(self.version)
            h.pwrite(stamp(block, self.version), at, nbd.CMD_FLAG_FUA if self.rng.random() < 0.1 else 0)
            self.may[block] = {self.version}
        elif what < 0.55:
            self.may[block].add(0)
            h.zero(BLOCK, at)
            self.may[block] = {0}
        elif what < 0.56:
            h.flush()
        else:
            self.check(block, h.pread(BLOCK, at))


def verify(clients, h):
    for client in clients:
        for block in client.blocks:
            client.check(block, h.pread(BLOCK, block * BLOCK))


server, h = start()
count = h.get_size() // BLOCK
for block in range(count):
    h.zero(BLOCK, block * BLOCK)
h.flush()
h.shutdown()
versions = [0] * clients
may = [None] * clients
total, rounds = 0, kills + 1
rng = random.Random(seed)
for number in range(rounds):
    # What a kill has cut off of a round is done in the last.
    share = operations // rounds if number < kills else operations - total
    workers = [Client(n, range(n, count, clients), max(1, -(-share // clients))) for n in range(clients)]
    for n, worker in enumerate(workers):
        worker.rng.seed(seed * 7919 + number * 104729 + n)
        worker.version = versions[n]
        if may[n] is not None:
            worker.may = may[n]
        worker.start()
    if number < kills:
        time.sleep(rng.random() * 0.3)
        server.send_signal(signal.SIGKILL)
        server.wait()
    for worker in workers:
        worker.join()
    total += sum(worker.done for worker in workers)
    if number < kills:
        server, h = start()
    else:
        h = nbd.NBD()
        h.connect_uri(uri)
    verify(workers, h)
    h.shutdown()
    assert all(worker.gone or worker.done >= worker.budget for worker in workers), "a client has ended early"
    wrong = [what for worker in workers for what in worker.wrong]
    assert not wrong, (number, wrong[:5])
    versions = [worker.version for worker in workers]
    may = [worker.may for worker in workers]
server.terminate()
assert server.wait() == 0
print("operations", total, "kills", kills, "mismatches 0")
