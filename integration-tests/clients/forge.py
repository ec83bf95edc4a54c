"""Forges access tokens in every way that a gateway must refuse, with a JWT library that is not the product's.

Reads a genuine token from the environment variable GENUINE and prints a JSON object: case -> token. What needs a
genuine signature over false content (an expired token, one for another audience, ...) is signed by the emulator's
test interface; everything else is signed here, with keys made here.

    GENUINE=... forge.py --entra URL --ca PEM
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import ssl
import time
import urllib.request

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

OTHER = "deadbeef-0000-4000-8000-000000000000"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Entra:
    def __init__(self, url: str, ca: str):
        self.url = url.rstrip("/")
        self.tls = ssl.create_default_context(cafile=ca)

    def get(self, url: str):
        with urllib.request.urlopen(url, context=self.tls, timeout=20) as answer:
            return json.load(answer)

    def sign(self, header: str, payload: str, key: str = "current") -> str:
        body = json.dumps({"header": header, "payload": payload, "key": key}).encode()
        request = urllib.request.Request(
            self.url + "/emulator/sign", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
            answer = json.load(answer)
        return answer.get("access_token") or answer["token"]


def forgeries(entra: Entra, genuine: str) -> dict:
    header_text, payload_text, signature = genuine.split(".")
    header, claims = json.loads(unb64(header_text)), json.loads(unb64(payload_text))
    now = int(time.time())

    def resigned(key="current", header_changes=None, **changes):
        changed = {**claims, **changes}
        changed = {name: value for name, value in changed.items() if value is not None}
        return entra.sign(json.dumps({**header, **(header_changes or {})}), json.dumps(changed), key)

    keys = entra.get(f"{entra.url}/{claims['tid']}/discovery/v2.0/keys")["keys"]
    public = next(key for key in keys if key["kid"] == header["kid"])
    number = lambda text: int.from_bytes(unb64(text), "big")
    public_key = RSAPublicNumbers(number(public["e"]), number(public["n"])).public_key()
    pem = public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own_rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own_ec = ec.generate_private_key(ec.SECP256R1())
    named = {"kid": header["kid"]}

    def hs256(secret: bytes) -> str:
        signed = b64(json.dumps({**header, "alg": "HS256"}).encode()) + "." + payload_text
        return signed + "." + b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())

    def with_own_key_in_header() -> str:
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own_rsa.public_key()))
        return jwt.encode(claims, own_rsa, algorithm="RS256", headers={**named, "jwk": jwk})

    flipped = bytearray(unb64(signature))
    flipped[len(flipped) // 2] ^= 1
    promoted = b64(json.dumps({**claims, "oid": OTHER}).encode())
    text = json.dumps(claims)
    duplicate = text[:-1] + f', "aud": {json.dumps(OTHER)}' + "}"
    duplicate_first = '{"oid": ' + json.dumps(OTHER) + ", " + text[1:]

    return {
        "expired": resigned(exp=now - 3600, nbf=now - 7200, iat=now - 7200),
        "early": resigned(nbf=now + 3600, exp=now + 7200),
        "without_expiry": resigned(exp=None),
        "wrong_audience": resigned(aud=OTHER),
        "audience_list": resigned(aud=[claims["aud"], OTHER]),
        "wrong_tenant": resigned(tid=OTHER),
        "wrong_issuer": resigned(iss=claims["iss"].replace(claims["tid"], OTHER)),
        "issuer_with_slash": resigned(iss=claims["iss"] + "/"),
        "wrong_version": resigned(ver="1.0"),
        "without_idtyp": resigned(idtyp=None),
        "alg_none": jwt.encode(claims, None, algorithm="none", headers=named),
        "alg_none_capital": b64(json.dumps({**header, "alg": "None"}).encode()) + "." + payload_text + ".",
        "unsigned": header_text + "." + payload_text + ".",
        "hs256_with_the_public_key": hs256(pem),
        "hs256_with_the_modulus": hs256(unb64(public["n"])),
        "ps256": jwt.encode(claims, own_rsa, algorithm="PS256", headers=named),
        "es256": jwt.encode(claims, own_ec, algorithm="ES256", headers=named),
        "unknown_key": jwt.encode(claims, own_rsa, algorithm="RS256", headers={"kid": "nobody-knows-this-one"}),
        "own_key_under_a_known_name": jwt.encode(claims, own_rsa, algorithm="RS256", headers=named),
        "own_key_in_the_header": with_own_key_in_header(),
        "foreign_tenants_key": resigned(key="foreign-tenant"),
        "tampered_claims": header_text + "." + promoted + "." + signature,
        "tampered_signature": header_text + "." + payload_text + "." + b64(bytes(flipped)),
        "oversized": resigned(padding="x" * 40_000),
        "duplicate_claim": entra.sign(json.dumps(header), duplicate),
        "duplicate_claim_first": entra.sign(json.dumps(header), duplicate_first),
        "critical_header": resigned(header_changes={"crit": ["exp"]}),
        "padded": header_text + "=." + payload_text + "." + signature,
        "four_parts": genuine + ".x",
        "two_parts": header_text + "." + payload_text,
        "nothing": "",
        "garbage": "not a token at all",
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--entra", required=True)
    arguments.add_argument("--ca", required=True)
    given = arguments.parse_args()
    print(json.dumps(forgeries(Entra(given.entra, given.ca), os.environ["GENUINE"])))


if __name__ == "__main__":
    main()
