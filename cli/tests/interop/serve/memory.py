"""How much memory requests take that come all at once.

memory.py PROGRAM BOX KEY FOLDER CONNECTIONS REQUESTS BYTES [CERTIFICATES CLIENT]

Prints the KiB that the server has taken at most, without the program itself."""

import os
import signal
import subprocess
import sys
import threading
import time

import nbd

program, box, key, folder = sys.argv[1:5]
connections, requests, size = map(int, sys.argv[5:8])
certificates = sys.argv[8:]
path = os.path.join(folder, "s")
command = [program, "serve", box, "--key-file", key, "--socket", path, "--foreground", "-q"]
if certificates:
    command += ["--tls-certificates", certificates[0]]
server = subprocess.Popen(command)
deadline = time.monotonic() + 120
while not os.path.exists(path):
    assert server.poll() is None and time.monotonic() < deadline
    time.sleep(0.02)


def connect():
    h = nbd.NBD()
    uri = "nbd+unix:///?socket=" + path
    if certificates:
        h.set_tls(nbd.TLS_REQUIRE)
        h.set_tls_certificates(certificates[1])
        h.set_uri_allow_local_file(True)
        uri = "nbds+unix://localhost/?socket=" + path
    h.connect_uri(uri)
    return h


failed = []
together = threading.Barrier(connections)


def client(number):
    try:
        h = connect()
        span = h.get_size() - size
        together.wait(120)
        # All writes, then all reads, each kind under way at once.
        for is_write in (True, False):
            cookies = []
            for turn in range(requests):
                at = (number * requests + turn) * size % span
                buffer = nbd.Buffer(size) if not is_write else nbd.Buffer.from_bytearray(bytearray(size))
                cookies.append(h.aio_pwrite(buffer, at) if is_write else h.aio_pread(buffer, at))
            while cookies:
                h.poll(-1)
                cookies = [cookie for cookie in cookies if not h.aio_command_completed(cookie)]
        h.shutdown()
    except BaseException as error:
        failed.append(error)
        together.abort()


threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
lines = dict(line.split(":", 1) for line in open(f"/proc/{server.pid}/status"))
server.send_signal(signal.SIGTERM)
assert server.wait() == 0
print(int(lines["VmHWM"].split()[0]) - int(lines["RssFile"].split()[0]))
