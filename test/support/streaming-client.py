# A Python client that streams both ways at once: PORT HOST PIECES BULK_BYTES EVENTS EVERY_MS, figures as JSON.
# http.client of the standard library, which reads an answer while its request is still being sent.

import http.client
import json
import sys
import threading
import time

port, host = int(sys.argv[1]), sys.argv[2]
pieces, bulk_bytes, events, every_ms = (int(word) for word in sys.argv[3:7])


def ask(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    if method == "POST":
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    return connection


def send(connection, piece):
    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))


def in_step():
    """The next piece leaves when the echo of the last is there: whatever waits for an end waits for ever."""
    connection = ask("POST", "/echo")
    answer, delays, wrong = None, [], 0
    for n in range(pieces):
        piece = (b"%d-" % n) + b"x" * (n * 397 % 3000)
        start = time.monotonic_ns()
        send(connection, piece)
        answer = answer or connection.getresponse()
        echo = b""
        while len(echo) < len(piece):
            part = answer.read1(len(piece) - len(echo))
            if not part:
                raise EOFError("the answer ended early")
            echo += part
        delays.append((time.monotonic_ns() - start) / 1e6)
        wrong += sum(a != b for a, b in zip(echo, piece))
    connection.send(b"0\r\n\r\n")
    wrong += len(answer.read())
    return delays, wrong


def at_once():
    """Both directions as fast as they go."""
    connection = ask("POST", "/echo")
    block = bytes(range(251)) * 256

    def upload():
        for at in range(0, bulk_bytes, len(block)):
            send(connection, block[: bulk_bytes - at])
        connection.send(b"0\r\n\r\n")

    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    answer = connection.getresponse()
    at, wrong = 0, 0
    while part := answer.read1(65536):
        offset = at % 251
        expected = block[offset : offset + len(part)]
        expected += block[: len(part) - len(expected)]
        if part != expected:
            wrong += sum(a != b for a, b in zip(part, expected))
        at += len(part)
    thread.join()
    return wrong + abs(bulk_bytes - at)


def events_seen():
    answer = ask("GET", f"/events?count={events}&every={every_ms}").getresponse()
    delays = []
    while line := answer.readline():
        if line.startswith(b"data: "):
            delays.append((time.monotonic_ns() - int(line[6:])) / 1e6)
    return delays


delays, wrong = in_step()
wrong += at_once()
print(json.dumps({"echoMs": delays, "wrongBytes": wrong, "eventMs": events_seen()}))
