"""Computes the digest that approvals bind to, with hashlib alone, and compares it with the published test vectors.

Written from the documentation of the digest (the head of shared/model/src/digest.rs), not from its code.

    digest.py [VECTORS]

VECTORS is shared/model/src/digest/vectors.json unless given. Exit 0 if every vector has the digest that it says.
"""

import hashlib
import json
import pathlib
import sys

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "shared/model/src/digest/vectors.json"


def string(content: bytes) -> bytes:
    return len(content).to_bytes(8, "big") + content


def text(content: str) -> bytes:
    return string(content.encode())


def sequence(elements: list, encode) -> bytes:
    return len(elements).to_bytes(8, "big") + b"".join(map(encode, elements))


def number(octets: int):
    return lambda value: value.to_bytes(octets, "big")


def maybe(value, encode) -> bytes:
    return b"\0" if value is None else b"\1" + encode(value)


format_code, four = number(2), number(4)


def touched(thing: dict) -> bytes:
    return text(thing["class"]) + four(thing["oid"])


def pair(fact: dict) -> bytes:
    return text(fact["action"]) + text(fact["kind"]) + sequence(fact["path"], text)


def parameter(bound: dict) -> bytes:
    return (
        four(bound["declared_type"])
        + four(bound["resolved_type"])
        + format_code(bound["format"])
        + maybe(bound["value"], lambda value: string(bytes.fromhex(value)))
    )


def attachment(to: dict) -> bytes:
    return text(to["session"]) + string(bytes.fromhex(to["nonce"]))


def postgres(statement: dict) -> bytes:
    return b"".join(
        [
            text(statement["text"]),
            sequence(statement["parameters"], parameter),
            sequence(statement["result_formats"], format_code),
            four(statement["row_limit"]),
            sequence(statement["search_path"], text),
            text(statement["role"]),
            sequence(statement["settings"], lambda setting: text(setting[0]) + text(setting[1])),
            sequence(statement["preamble"], text),
        ]
    )


def encoded(operation: dict) -> bytes:
    return b"".join(
        [
            b"countersign/op/v1\0",
            text(operation["tenant"]),
            text(operation["subject"]),
            maybe(operation["actor"], text),
            text(operation["target"]),
            text(operation["database"]),
            text(operation["identity"]),
            text(operation["protocol"]),
            sequence(operation["objects"], touched),
            sequence(operation["unmask"], text),
            sequence(operation["pairs"], pair),
            postgres(operation["operation"]),
            maybe(operation["attached"], attachment),
        ]
    )


def unmasked(operation: dict) -> bool:
    """Whether the classes that come back unmasked are those of the pairs, where pairs say so."""
    classes = {fact["path"][0] for fact in operation["pairs"] if fact["action"] == "unmask"}
    return not classes or operation["unmask"] == sorted(classes)


def digest(operation: dict) -> str:
    return hashlib.sha256(encoded(operation)).hexdigest()


def main() -> int:
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS
    vectors = json.loads(path.read_text(encoding="utf-8"))
    wrong = [
        f"{vector['name']}: computed {computed}, published {vector['sha256']}"
        for vector in vectors
        if (computed := digest(vector["operation"])) != vector["sha256"]
    ]
    wrong += [
        f"{vector['name']}: classes and pairs disagree"
        for vector in vectors
        if not unmasked(vector["operation"])
    ]
    print("\n".join(wrong) or f"{len(vectors)} digests agree")
    if not vectors or len({vector["sha256"] for vector in vectors}) != len(vectors):
        print("the vectors must be there and must differ")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
