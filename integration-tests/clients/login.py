"""Logs in to PostgreSQL at the level of the wire and prints what the server answered, field by field.

libpq shows no SQLSTATE for an error at login, so this speaks the protocol by itself, with the standard library alone.
Reads a JSON object from standard input, name -> password, and prints name -> answer: {"ready": true}, the fields
of an ErrorResponse ({"S": "FATAL", "C": "28000", "M": ...}), or {"closed": true}.

    login.py --host H --port P --database D --ca PEM [--user U] [--option KEY=VALUE ...]
"""

import argparse
import json
import socket
import ssl
import struct
import sys

SSL_REQUEST = struct.pack("!II", 8, 80877103)


def receive(stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def message(stream):
    kind, size = struct.unpack("!cI", receive(stream, 5))
    return kind, receive(stream, size - 4)


def fields(body: bytes) -> dict:
    parts = body.rstrip(b"\0").split(b"\0")
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in parts if part}


def login(given, password: str) -> dict:
    plain = socket.create_connection((given.host, given.port), timeout=30)
    plain.sendall(SSL_REQUEST)
    if receive(plain, 1) != b"S":
        return {"closed": True, "tls": False}
    stream = ssl.create_default_context(cafile=given.ca).wrap_socket(plain, server_hostname=given.host)
    parameters = [("user", given.user), ("database", given.database)]
    parameters += [tuple(option.split("=", 1)) for option in given.option]
    body = struct.pack("!I", 196608)
    body += b"".join(text.encode() + b"\0" for pair in parameters for text in pair) + b"\0"
    stream.sendall(struct.pack("!I", len(body) + 4) + body)
    try:
        while True:
            kind, content = message(stream)
            if kind == b"E":
                return fields(content)
            if kind == b"Z":
                return {"ready": True}
            if kind == b"R" and content[:4] == struct.pack("!I", 3):
                secret = password.encode() + b"\0"
                stream.sendall(b"p" + struct.pack("!I", len(secret) + 4) + secret)
    except (EOFError, ConnectionError):
        return {"closed": True}
    finally:
        stream.close()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--host", required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--ca", required=True)
    arguments.add_argument("--user", default="anyone")
    arguments.add_argument("--option", action="append", default=[])
    given = arguments.parse_args()
    print(json.dumps({name: login(given, password) for name, password in json.load(sys.stdin).items()}))


if __name__ == "__main__":
    main()
