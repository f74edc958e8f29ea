"""What another user of the machine tries against a running search; prints what succeeded.

Arguments: user id, Ray's temporary directory, address of the GCS, process ids of the search.
Standard input: Unix sockets and TCP ports.
"""

import contextlib
import http.client
import json
import os
import socket
import sys
from pathlib import Path

# all modules are imported as root: another user may not be able to read them
from ray._private import worker  # noqa: F401
from ray._raylet import GcsClient

uid, folder, address, *pids = sys.argv[1:]
sockets, ports = json.load(sys.stdin)
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
succeeded = []


@contextlib.contextmanager
def attempt(what):
    try:
        yield
        succeeded.append(what)
    except Exception as error:
        print(f"{what}: {type(error).__name__}", file=sys.stderr)


for pid in pids:
    with attempt("reads the environment"):
        Path(f"/proc/{pid}/environ").read_bytes()
with attempt("lists the temporary directory"):
    os.listdir(folder)
for path in sockets:
    with attempt("connects to a socket"):
        socket.socket(socket.AF_UNIX).connect(path)
for port in ports:
    with attempt("reads metrics"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != 200:
            raise PermissionError(answer.status)
with attempt("lists nodes"):
    if not GcsClient(address=address).get_all_node_info(timeout=5):
        raise LookupError
with attempt("writes to the GCS"):
    GcsClient(address=address).internal_kv_put(b"key", b"value", True, b"test", 5)
print(json.dumps(succeeded))
