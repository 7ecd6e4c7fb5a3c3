#!/usr/bin/env python3
"""A second implementation of the ciphertext blob, scheme 1, over the Python package `cryptography`.

It shares no code with the library: what it makes and opens follows the manual page `src/manual/blob_format.md` alone.

    blob_reference.py example        prints the worked example of the page
    blob_reference.py open           reads lines of JSON, {"material": hex, "blob": hex, "context": {name: value}},
                                     and prints for each the plaintext in hexadecimal, or "refused" and why
    blob_reference.py seal           reads lines of JSON, {"material": hex, "key_id": hex, "key_version": number,
                                     "salt": hex, "plaintext": hex, "context": {name: value}}, and prints each blob in
                                     hexadecimal
"""

import hashlib
import hmac
import json
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

LABEL = b"strongroom blob v1"
PREFIX_LENGTH = 22
SALT_LENGTH = 24
COMMITMENT_LENGTH = 32
TAG_LENGTH = 16
SHORTEST = PREFIX_LENGTH + SALT_LENGTH + COMMITMENT_LENGTH + 1 + TAG_LENGTH
LONGEST = SHORTEST - 1 + 4096


class Refused(Exception):
    """The blob is malformed or does not open."""


def canonical_context(pairs):
    """Serializes an encryption context: names ascending by their UTF-8 bytes, lengths of 16 bits."""
    if not pairs:
        return b""
    encoded = sorted((name.encode(), value.encode()) for name, value in pairs.items())
    parts = [struct.pack(">H", len(encoded))]
    for name, value in encoded:
        parts += [struct.pack(">H", len(name)), name, struct.pack(">H", len(value)), value]
    return b"".join(parts)


def derive(material, prefix, salt, context):
    """Returns the bound hash, the info, the message key and the commitment."""
    bound = hashlib.sha256(prefix + salt + context).digest()
    info = LABEL + bound
    derived = HKDFExpand(SHA256(), 64, info).derive(material)
    return bound, info, derived[:32], derived[32:]


def seal(material, prefix, salt, pairs, plaintext):
    """Makes a blob."""
    _, _, key, commitment = derive(material, prefix, salt, canonical_context(pairs))
    return prefix + salt + commitment + AESGCM(key).encrypt(bytes(12), plaintext, None)


def open_blob(material, blob, pairs):
    """Returns the plaintext of a blob."""
    if not SHORTEST <= len(blob) <= LONGEST:
        raise Refused("length")
    if blob[0] != 1:
        raise Refused("version")
    if blob[1] != 1:
        raise Refused("scheme")
    prefix, rest = blob[:PREFIX_LENGTH], blob[PREFIX_LENGTH:]
    salt, rest = rest[:SALT_LENGTH], rest[SALT_LENGTH:]
    commitment, sealed = rest[:COMMITMENT_LENGTH], rest[COMMITMENT_LENGTH:]
    _, _, key, expected = derive(material, prefix, salt, canonical_context(pairs))
    if not hmac.compare_digest(commitment, expected):
        raise Refused("commitment")
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, None)
    except InvalidTag as error:
        raise Refused("tag") from error


def make_prefix(key_id, key_version):
    """Writes the 22 bytes before the body."""
    return struct.pack(">BB16sI", 1, 1, key_id, key_version)


def print_example():
    """Prints every value of the worked example."""
    material = bytes(range(0x00, 0x20))
    salt = bytes(range(0x80, 0x98))
    pairs = {"tenant": "42", "purpose": "backup"}
    plaintext = b"open sesame"
    prefix = make_prefix(bytes.fromhex("1f0e2d3c4b5a49788796a5b4c3d2e1f0"), 3)
    context = canonical_context(pairs)
    bound, info, key, commitment = derive(material, prefix, salt, context)
    blob = seal(material, prefix, salt, pairs, plaintext)
    assert open_blob(material, blob, pairs) == plaintext
    rows = [
        ("material", material),
        ("prefix", prefix),
        ("salt", salt),
        ("context", context),
        ("hash", bound),
        ("info", info),
        ("k", key),
        ("commitment", commitment),
        ("plaintext", plaintext),
        ("ciphertext", blob[-TAG_LENGTH - len(plaintext) : -TAG_LENGTH]),
        ("tag", blob[-TAG_LENGTH:]),
        ("blob", blob),
    ]
    for name, value in rows:
        text = value.hex()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        for line, start in zip(lines, [name] + [""] * len(lines)):
            print(f"{start:<10}  {line}")


def answer(command, line):
    """Runs one request."""
    request = json.loads(line)
    material = bytes.fromhex(request["material"])
    if command == "seal":
        prefix = make_prefix(bytes.fromhex(request["key_id"]), request["key_version"])
        salt, plaintext = bytes.fromhex(request["salt"]), bytes.fromhex(request["plaintext"])
        return seal(material, prefix, salt, request["context"], plaintext).hex()
    try:
        return open_blob(material, bytes.fromhex(request["blob"]), request["context"]).hex()
    except Refused as reason:
        return f"refused: {reason}"


def main():
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command == "example":
        print_example()
    elif command in ("open", "seal"):
        for line in sys.stdin:
            print(answer(command, line))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
