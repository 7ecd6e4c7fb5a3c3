#!/usr/bin/env python3
"""A second implementation of the ciphertext blob, schemes 1 and 2, over the Python package `cryptography`.

It shares no code with the library. It is written solely from the manual page `src/manual/blob_format.md`.

    blob_reference.py example        prints the worked example of the page
    blob_reference.py open           reads lines of JSON, {"material": hex, "blob": hex, "context": {name: value}},
                                     and prints for each the plaintext in hexadecimal, or "refused" and the reason
    blob_reference.py seal           reads lines of JSON, {"material": hex, "key_id": hex, "key_version": number,
                                     "plaintext": hex, "context": {name: value}} and "salt": hex for scheme 1 or
                                     "iv": hex for scheme 2, and prints each blob in hexadecimal
    blob_reference.py vectors FOLDER writes the files of `tests/vectors/blob` to a folder
"""

import hashlib
import hmac
import json
import pathlib
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
IV_LENGTH = 12
MOST_PLAINTEXT = 4096
COMMITTING, PROVIDER = 1, 2
OVERHEAD = {COMMITTING: SALT_LENGTH + COMMITMENT_LENGTH + TAG_LENGTH, PROVIDER: IV_LENGTH + TAG_LENGTH}


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
    """Returns a blob of scheme 1."""
    _, _, key, commitment = derive(material, prefix, salt, canonical_context(pairs))
    return prefix + salt + commitment + AESGCM(key).encrypt(bytes(12), plaintext, None)


def seal_in_hsm(material, prefix, iv, pairs, plaintext):
    """Returns a blob as an HSM produces it."""
    return prefix + iv + AESGCM(material).encrypt(iv, plaintext, prefix + canonical_context(pairs))


def open_blob(material, blob, pairs):
    """Returns the plaintext of a blob."""
    if len(blob) < PREFIX_LENGTH:
        raise Refused("length")
    if blob[0] != 1:
        raise Refused("version")
    if blob[1] not in OVERHEAD:
        raise Refused("scheme")
    if not PREFIX_LENGTH + OVERHEAD[blob[1]] < len(blob) <= PREFIX_LENGTH + OVERHEAD[blob[1]] + MOST_PLAINTEXT:
        raise Refused("length")
    prefix, body, context = blob[:PREFIX_LENGTH], blob[PREFIX_LENGTH:], canonical_context(pairs)
    try:
        if blob[1] == PROVIDER:
            return AESGCM(material).decrypt(body[:IV_LENGTH], body[IV_LENGTH:], prefix + context)
        return open_committing(material, prefix, body, context)
    except InvalidTag as error:
        raise Refused("tag") from error


def open_committing(material, prefix, body, context):
    """Opens the body of scheme 1."""
    salt, rest = body[:SALT_LENGTH], body[SALT_LENGTH:]
    commitment, sealed = rest[:COMMITMENT_LENGTH], rest[COMMITMENT_LENGTH:]
    _, _, key, expected = derive(material, prefix, salt, context)
    if not hmac.compare_digest(commitment, expected):
        raise Refused("commitment")
    return AESGCM(key).decrypt(bytes(12), sealed, None)


def make_prefix(key_id, key_version, scheme=COMMITTING):
    """Writes the 22 bytes before the body."""
    return struct.pack(">BB16sI", 1, scheme, key_id, key_version)


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


MATERIAL = bytes(range(0x00, 0x20))
KEY_ID = bytes.fromhex("1f0e2d3c4b5a49788796a5b4c3d2e1f0")
USUAL = {"tenant": "42", "purpose": "backup"}
UNICODE = {"\U00010000": "\U0001f511", "\uff61": "\u00e9", "": ""}
LONG = bytes(at % 251 for at in range(MOST_PLAINTEXT))


def make(scheme, pairs, plaintext, key_version=3):
    """Returns a blob of either scheme from fixed values."""
    prefix = make_prefix(KEY_ID, key_version, scheme)
    if scheme == PROVIDER:
        return seal_in_hsm(MATERIAL, prefix, bytes(range(0x80, 0x8C)), pairs, plaintext)
    return seal(MATERIAL, prefix, bytes(range(0x80, 0x98)), pairs, plaintext)


def flip(blob, at):
    """Flips the lowest bit of a byte; negative numbers count from the end."""
    at %= len(blob)
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]


def opened_vectors(scheme):
    """Yields the name, reason, context, blob and plaintext of each case that opens."""
    cases = [
        ("usual", "A context of two pairs.", USUAL, b"open sesame", 3),
        ("no_context", "No context, and one byte.", {}, b"\x00", 1),
        ("longest", "As much plaintext as there may be, under the last version of a key.", USUAL, LONG, 0xFFFFFFFF),
        ("unicode", "Names whose order in UTF-8 is not that in UTF-16, and an empty one.", UNICODE, b"text", 2),
        ("data_key", "A data key.", {"aws-crypto-public-key": "A0=="}, MATERIAL[::-1], 1),
    ]
    for name, reason, pairs, plaintext, key_version in cases:
        yield name, reason, pairs, make(scheme, pairs, plaintext, key_version), plaintext


def refused_vectors(scheme):
    """Yields each case that does not open: name, reason, context, blob, and the checks that fail in the library and here."""
    blob, closed = make(scheme, USUAL, b"open sesame"), "InvalidCiphertext"
    bound = "commitment" if scheme == COMMITTING else "tag"
    yield "ciphertext_flipped", "One bit of the ciphertext is flipped.", USUAL, flip(blob, -20), closed, "tag"
    yield "tag_flipped", "One bit of the tag is flipped.", USUAL, flip(blob, -1), closed, "tag"
    yield "first_of_body_flipped", "One bit of the salt or the vector is flipped.", USUAL, flip(blob, 22), closed, bound
    yield "key_id_flipped", "One bit of the key id is flipped.", USUAL, flip(blob, 2), closed, bound
    yield "key_version_flipped", "Another version of the key is named.", USUAL, flip(blob, 21), closed, bound
    yield "context_missing", "The context is missing.", {}, blob, closed, bound
    yield "context_value", "A value of the context is another.", {**USUAL, "tenant": "43"}, blob, closed, bound
    yield "context_shifted", "A byte has moved from a value to its name.", {"tenant4": "2", "purpose": "backup"}, \
        blob, closed, bound
    yield "context_more", "The context has one pair more.", {**USUAL, "more": ""}, blob, closed, bound
    yield "cut_off", "The last byte is missing.", USUAL, blob[:-1], closed, "tag"
    yield "longer", "There is a byte more.", USUAL, blob + b"\x00", closed, "tag"
    yield "version_2", "A version that is not known.", USUAL, b"\x02" + blob[1:], "Version", "version"
    yield "version_0", "A version that never was.", USUAL, b"\x00" + blob[1:], "Version", "version"
    yield "scheme_3", "A scheme that is not known.", USUAL, blob[:1] + b"\x03" + blob[2:], "Scheme", "scheme"
    yield "prefix_only", "There is no body.", USUAL, blob[:22], "TooShort", "length"
    yield "prefix_cut_off", "Not even the prefix is whole.", USUAL, blob[:21], "TooShort", "length"
    yield "too_long", "More than any blob has.", USUAL, blob + bytes(6145 - len(blob)), "TooLong", "length"
    if scheme == COMMITTING:
        yield "commitment_flipped", "One bit of the commitment is flipped.", USUAL, flip(blob, 46), closed, "commitment"
        yield "empty", "No plaintext at all, which scheme 1 never has.", USUAL, make(scheme, USUAL, b""), "TooShort", \
            "length"


def write_vectors(folder):
    """Writes every case to a separate file, after this script has reached the same verdict."""
    for scheme in OVERHEAD:
        for name, reason, pairs, blob, plaintext in opened_vectors(scheme):
            assert open_blob(MATERIAL, blob, pairs) == plaintext
            write_vector(folder, scheme, name, reason, pairs, blob, f"ok {plaintext.hex()}")
        for name, reason, pairs, blob, check, own in refused_vectors(scheme):
            try:
                open_blob(MATERIAL, blob, pairs)
                raise AssertionError(f"{name} opens")
            except Refused as refusal:
                assert str(refusal) == own, (name, refusal)
            write_vector(folder, scheme, name, reason, pairs, blob, f"refused {check}")


def write_vector(folder, scheme, name, reason, pairs, blob, expect):
    """Writes one case."""
    lines = [
        f"# {reason}",
        f"scheme: {scheme}",
        f"material: {MATERIAL.hex()}",
        f"context: {json.dumps(pairs, sort_keys=True)}",
        f"expect: {expect}",
        f"blob: {blob.hex()}",
    ]
    (folder / f"{scheme}_{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def answer(command, line):
    """Runs one request."""
    request = json.loads(line)
    material = bytes.fromhex(request["material"])
    if command == "seal":
        key_id, key_version = bytes.fromhex(request["key_id"]), request["key_version"]
        plaintext, pairs = bytes.fromhex(request["plaintext"]), request["context"]
        if "iv" in request:
            prefix = make_prefix(key_id, key_version, PROVIDER)
            return seal_in_hsm(material, prefix, bytes.fromhex(request["iv"]), pairs, plaintext).hex()
        return seal(material, make_prefix(key_id, key_version), bytes.fromhex(request["salt"]), pairs, plaintext).hex()
    try:
        return open_blob(material, bytes.fromhex(request["blob"]), request["context"]).hex()
    except Refused as reason:
        return f"refused: {reason}"


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "vectors" and len(sys.argv) == 3:
        write_vectors(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) != 2:
        sys.exit(__doc__)
    elif command == "example":
        print_example()
    elif command in ("open", "seal"):
        for line in sys.stdin:
            print(answer(command, line))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
