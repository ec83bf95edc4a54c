"""A PostgreSQL session at the level of the wire, driven line by line: what a client library hides is shown as it comes.

Speaks the simple query protocol with the standard library alone. The password is read from the environment variable
PASSWORD. Standard input has one JSON object per line:

    {"query": "SELECT 1"}      {"cancel": true}      {"reset": true}

`cancel` asks on a connection of its own, as clients do; `reset` breaks the connection without a word. Standard output
has one object per message of the server, as soon as it is there: {"kind": "notice" | "error", "S", "C", "M", "D", ...},
{"kind": "row", "values": [...]}, {"kind": "complete", "tag": ...}, {"kind": "ready", "status": "I" | "T" | "E"} and,
last, {"kind": "closed"}; each with "at", in seconds of a monotonic clock.

    session.py --host H --port P --database D --ca PEM [--user U] [--option KEY=VALUE ...]
"""

import argparse
import json
import os
import select
import socket
import ssl
import struct
import sys
import time

from login import SSL_REQUEST, fields, receive

CANCEL_REQUEST = 80877102


def connect(given) -> ssl.SSLSocket:
    plain = socket.create_connection((given.host, given.port), timeout=30)
    plain.sendall(SSL_REQUEST)
    if receive(plain, 1) != b"S":
        raise ConnectionError("the server does not speak TLS")
    return ssl.create_default_context(cafile=given.ca).wrap_socket(plain, server_hostname=given.host)


def packet(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def row(body: bytes) -> list:
    count, at, values = struct.unpack_from("!H", body)[0], 2, []
    for _ in range(count):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return values


class Session:
    def __init__(self, given, password: str):
        self.given, self.password, self.key, self.buffer = given, password, b"", b""
        self.stream = connect(given)
        parameters = [("user", given.user), ("database", given.database)]
        parameters += [tuple(option.split("=", 1)) for option in given.option]
        body = struct.pack("!I", 196608)
        body += b"".join(text.encode() + b"\0" for pair in parameters for text in pair) + b"\0"
        self.stream.sendall(packet(b"", body))

    def serve(self):
        commands = b""
        listening = True
        while True:
            if not self.stream.pending():
                select.select([self.stream] + ([sys.stdin] if listening else []), [], [])
            if not self.read():
                return say({"kind": "closed"})
            if listening and select.select([sys.stdin], [], [], 0)[0]:
                part = os.read(sys.stdin.fileno(), 65536)
                listening = bool(part)
                *lines, commands = (commands + part).split(b"\n")
                for line in filter(None, lines):
                    self.obey(json.loads(line))

    def obey(self, command: dict):
        if "query" in command:
            self.send(packet(b"Q", command["query"].encode() + b"\0"))
        if "cancel" in command:
            with connect(self.given) as other:
                other.sendall(struct.pack("!II", 16, CANCEL_REQUEST) + self.key)
        if "reset" in command:
            linger = struct.pack("ii", 1, 0)
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os._exit(0)

    def send(self, data: bytes):
        self.stream.settimeout(30)
        self.stream.sendall(data)

    def read(self) -> bool:
        """Shows what is there; whether there may be more."""
        self.stream.settimeout(0)
        try:
            part = self.stream.recv(65536)
        except ssl.SSLWantReadError:
            return True
        except (ConnectionError, ssl.SSLError):
            return False
        self.buffer += part
        while len(self.buffer) >= 5:
            size = struct.unpack_from("!I", self.buffer, 1)[0]
            if len(self.buffer) < size + 1:
                break
            kind, body = self.buffer[:1], self.buffer[5 : size + 1]
            self.buffer = self.buffer[size + 1 :]
            self.show(kind, body)
        return bool(part)

    def show(self, kind: bytes, body: bytes):
        match kind:
            case b"R" if body[:4] == struct.pack("!I", 3):
                self.send(packet(b"p", self.password.encode() + b"\0"))
            case b"K":
                self.key = body
            case b"N":
                say({"kind": "notice", **fields(body)})
            case b"E":
                say({"kind": "error", **fields(body)})
            case b"D":
                say({"kind": "row", "values": row(body)})
            case b"C":
                say({"kind": "complete", "tag": body.rstrip(b"\0").decode()})
            case b"Z":
                say({"kind": "ready", "status": body.decode()})


def say(message: dict):
    print(json.dumps({**message, "at": time.monotonic()}), flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--host", required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--ca", required=True)
    arguments.add_argument("--user", default="anyone")
    arguments.add_argument("--option", action="append", default=[])
    given = arguments.parse_args()
    Session(given, os.environ["PASSWORD"]).serve()


if __name__ == "__main__":
    main()
