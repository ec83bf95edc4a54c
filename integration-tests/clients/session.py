"""A PostgreSQL session at the level of the wire, driven line by line: what a client library hides is shown as it comes.

Speaks the protocol with the standard library alone. The password is read from the environment variable PASSWORD.
Standard input has one JSON object per line:

    {"query": "SELECT 1"}      {"send": [MESSAGE, ...]}      {"cancel": true}      {"reset": true}

`send` puts messages together into one write: those of MESSAGES below, by name and fields. `cancel` asks on a connection
of its own, as clients do; `reset` breaks the connection without a word. Standard output has one object per message of
the server, as soon as it is there: {"kind": "notice" | "error", "S", "C", "M", "D", ...},
{"kind": "row", "values": [...]}, {"kind": "complete", "tag": ...}, {"kind": "ready", "status": "I" | "T" | "E"}, those
of KINDS below and, last, {"kind": "closed"}; each with "at", in seconds of a monotonic clock.

    session.py --host H --port P --database D --ca PEM [--gss] [--user U] [--option KEY=VALUE ...]
    session.py --socket PATH --database D [--user U] [--option KEY=VALUE ...]

With --gss, GSSAPI encryption is asked for before TLS; over a Unix socket, neither is.
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
GSS_REQUEST = struct.pack("!II", 8, 80877104)

# Answers of the extended query protocol that have nothing to show but that they came.
KINDS = {b"1": "parsed", b"2": "bound", b"3": "shut", b"n": "nothing", b"s": "suspended", b"I": "empty", b"V": "called",
         b"G": "copy", b"H": "copy", b"W": "copy", b"c": "copied"}


def connect(given) -> socket.socket:
    if given.socket:
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(given.socket)
        return plain
    plain = socket.create_connection((given.host, given.port), timeout=30)
    if given.gss:
        plain.sendall(GSS_REQUEST)
        if receive(plain, 1) != b"N":
            raise ConnectionError("the server does not refuse GSSAPI encryption")
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
        values.append(None if size < 0 else body[at : at + size].decode(errors="backslashreplace"))
        at += max(size, 0)
    return values


def columns(body: bytes) -> list:
    """Name, type and format of each."""
    found, at = [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        end = body.index(b"\0", at)
        _, _, kind, _, _, form = struct.unpack_from("!IHIhiH", body, end + 1)
        found.append([body[at:end].decode(), kind, form])
        at = end + 19
    return found


def several(form: str, numbers: list) -> bytes:
    return struct.pack(f"!H{len(numbers)}{form}", len(numbers), *numbers)


def string(text: str) -> bytes:
    return text.encode() + b"\0"


def bind(portal: str, statement: str, values: list, results: list = ()) -> bytes:
    """A value is text, null, or {"binary": hexadecimal digits}."""
    binary = [isinstance(value, dict) for value in values]
    parts = [bytes.fromhex(value["binary"]) if isinstance(value, dict) else value and value.encode() for value in values]
    held = [struct.pack("!i", -1) if part is None else struct.pack("!i", len(part)) + part for part in parts]
    formats = several("H", binary if any(binary) else [])
    count = struct.pack("!H", len(values))
    return packet(b"B", string(portal) + string(statement) + formats + count + b"".join(held) + several("H", results))


MESSAGES = {
    "query": lambda sql: packet(b"Q", string(sql)),
    "parse": lambda name, sql, types=(): packet(b"P", string(name) + string(sql) + several("I", types)),
    "bind": bind,
    "describe": lambda kind, name: packet(b"D", kind.encode() + string(name)),
    "close": lambda kind, name: packet(b"C", kind.encode() + string(name)),
    "execute": lambda portal="", rows=0: packet(b"E", string(portal) + struct.pack("!i", rows)),
    "flush": lambda: packet(b"H", b""),
    "sync": lambda: packet(b"S", b""),
    # FunctionCall without arguments.
    "call": lambda oid: packet(b"F", struct.pack("!IHHH", oid, 0, 0, 0)),
    "raw": bytes.fromhex,
    # The same messages again and again.
    "repeat": lambda times, *messages: b"".join(map(message, messages)) * times,
}


def message(named: list) -> bytes:
    return MESSAGES[named[0]](*named[1:])


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
            if not (isinstance(self.stream, ssl.SSLSocket) and self.stream.pending()):
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
        if "send" in command:
            try:
                self.send(b"".join(map(message, command["send"])))
            except OSError:
                # The server has had enough; what it said before is still there to be read.
                pass
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
        except (ssl.SSLWantReadError, BlockingIOError):
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
            case b"t":
                say({"kind": "parameters", "types": struct.unpack_from(f"!{(len(body) - 2) // 4}I", body, 2)})
            case b"T":
                say({"kind": "columns", "columns": columns(body)})
            case _ if kind in KINDS:
                say({"kind": KINDS[kind]})
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
    arguments.add_argument("--host")
    arguments.add_argument("--port", type=int)
    arguments.add_argument("--socket")
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--ca")
    arguments.add_argument("--gss", action="store_true")
    arguments.add_argument("--user", default="anyone")
    arguments.add_argument("--option", action="append", default=[])
    given = arguments.parse_args()
    Session(given, os.environ.get("PASSWORD", "")).serve()


if __name__ == "__main__":
    main()
