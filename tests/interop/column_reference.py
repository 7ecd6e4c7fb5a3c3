#!/usr/bin/env python3
"""Opens stored values of encrypted columns, over the Python package `cryptography`.

It is written solely from the manual page `src/manual/columns.md`, and shares no code with the library.

    column_reference.py    reads lines of JSON, {"data_key": hex, "stored": hex, "context": {name: value}}, and prints
                           the value in hexadecimal, or "refused" and the reason
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

LABEL = b"strongroom column v1"


def canonical_context(pairs):
    """Serializes an encryption context: names ascending by their UTF-8 bytes, lengths of 16 bits."""
    encoded = sorted((name.encode(), value.encode()) for name, value in pairs.items())
    parts = [struct.pack(">H", len(encoded))]
    for name, value in encoded:
        parts += [struct.pack(">H", len(name)), name, struct.pack(">H", len(value)), value]
    return b"".join(parts)


def open_value(data_key, stored, pairs):
    """Returns the value of format 2."""
    if stored[:1] != b"\x02":
        return "refused: format"
    (length,) = struct.unpack(">H", stored[1:3])
    body = stored[3 + length :]
    salt, commitment, sealed = body[:24], body[24:56], body[56:]
    bound = hashlib.sha256(b"\x02" + salt + canonical_context(pairs)).digest()
    derived = HKDFExpand(SHA256(), 64, LABEL + bound).derive(data_key)
    if not hmac.compare_digest(commitment, derived[32:]):
        return "refused: commitment"
    try:
        padded = AESGCM(derived[:32]).decrypt(bytes(12), sealed, None)
    except InvalidTag:
        return "refused: tag"
    value = padded.rstrip(b"\0")
    if value[-1:] != b"\x80":
        return "refused: padding"
    return value[:-1].hex()


for line in sys.stdin:
    request = json.loads(line)
    print(open_value(bytes.fromhex(request["data_key"]), bytes.fromhex(request["stored"]), request["context"]))
