"""Hides a text in files, each time as another program might have written it.

    plant.py TEXT FOLDER

One file for each way, named after it, with other bytes before and after.
"""

import base64
import gzip
import pathlib
import sys
import urllib.parse


def ways(text: str) -> dict:
    raw = text.encode()
    signature = text.rsplit(".", 1)[1]
    found = {
        "raw": raw,
        "signature": signature.encode(),
        "cut": raw[: len(raw) - 100],
        "binary": base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        "hex": raw.hex().encode(),
        "hex-upper": raw.hex().upper().encode(),
        "percent": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "percent-upper": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "quoted": urllib.parse.quote(text, safe="").encode(),
        "numbers": str(list(raw)).encode(),
        "wide": text.encode("utf-16-le"),
        "gzip": gzip.compress(b'{"token":"' + raw + b'"}'),
    }
    for before in range(3):
        inside = b"x" * before + raw + b"yz"
        found[f"base64-{before}"] = base64.b64encode(inside)
        found[f"base64url-{before}"] = base64.urlsafe_b64encode(inside)
    return found


def main() -> None:
    text, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    for way, written in ways(text).items():
        (folder / way).write_bytes(b"\0before\xff " + written + b" \xfeafter\n")


main()
