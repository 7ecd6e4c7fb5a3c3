#!/usr/bin/env python3
"""Has the official Encryption SDK for Python write messages of every suite, and damages some of them.

    ../../../.venv/bin/python generate.py

Needs the packages of tests/interop/requirements.txt (./test.sh makes the virtual environment). Data keys, message ids
and key pairs are random, so each run makes other files; those that are there were made once and need no SDK to be read.
The plaintext of each is the beginning of 00 01 02 ... fa 00 01 ...
"""

from pathlib import Path

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

HERE = Path(__file__).parent
NAMESPACE, NAME = "sdk", "key é"
FRAME_LENGTH = 128
WRAPPING = {
    16: WrappingAlgorithm.AES_128_GCM_IV12_TAG16_NO_PADDING,
    24: WrappingAlgorithm.AES_192_GCM_IV12_TAG16_NO_PADDING,
    32: WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
}
CONTEXTS = {
    "none": {},
    "two": {"purpose": "vector", "tenant": "42"},
    "wide": {"\U00010000": "🔑", "\uff61": "", "ключ": "значение"},
}
LENGTHS = [0, FRAME_LENGTH, 300]
CLIENTS = {
    True: aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT),
    False: aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT),
}


def plaintext(length):
    return bytes(i % 251 for i in range(length))


def provider(key):
    class OneKey(RawMasterKeyProvider):
        provider_id = NAMESPACE

        def _get_raw_key(self, _key_id):
            return WrappingKey(
                wrapping_algorithm=WRAPPING[len(key)], wrapping_key=key, wrapping_key_type=EncryptionKeyType.SYMMETRIC
            )

    made = OneKey()
    made.add_master_key(NAME)
    return made


def encrypt(algorithm, key, context, frame_length, text):
    message, _header = CLIENTS[algorithm.is_committing()].encrypt(
        source=text,
        encryption_context=context,
        frame_length=frame_length,
        algorithm=algorithm,
        key_provider=provider(key),
    )
    return message


def write(name, reason, algorithm, key, expect, message):
    lines = [f"# {reason}.", f"namespace: {NAMESPACE}", f"name: {NAME}", f"wrapping key: {key.hex()}"]
    if not algorithm.is_committing():
        lines.append("commitment policy: allow")
    lines += [f"expect: {expect}", f"ciphertext: {message.hex()}"]
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")


def flipped(message, offset):
    offset %= len(message)
    return message[:offset] + bytes([message[offset] ^ 1]) + message[offset + 1:]


def damaged(algorithm, message):
    """What happens to a framed message of 300 bytes; a signed one ends with its footer."""
    signed = algorithm.signing_algorithm_info is not None
    footer = {None: 0, "secp256r1": 73, "secp384r1": 105}[signed and algorithm.signing_algorithm_info.name or None]
    end = len(message) - footer
    final = end - (40 + 300 % FRAME_LENGTH)
    first = final - 2 * (FRAME_LENGTH + 32)
    yield "header_tag", "One bit of the tag of the header is flipped", "HeaderAuth", flipped(message, first - 1)
    yield "frame", "One bit of the second frame is flipped", "BodyAuth", flipped(message, final - 20)
    yield "final", "One bit of the final frame is flipped", "BodyAuth", flipped(message, end - 20)
    yield "cut", "The final frame is missing", "Truncated", message[:final]
    yield "lost", "The first frame is missing", "BadSequence", message[:first] + message[first + FRAME_LENGTH + 32:]
    if signed:
        yield "signature", "One bit of the signature is flipped", "Signature", flipped(message, -1)
        yield "signature_first", "One bit of the signature's form is flipped", "Signature", flipped(message, end + 2)
        yield "footer_missing", "The signature is missing", "Truncated", message[:end]
        yield "footer_cut", "The signature ends early", "Truncated", message[:-1]
        yield "footer_empty", "A signature of no bytes", "Signature", message[:end] + b"\0\0"
        yield "footer_trailing", "A byte follows the signature", "TrailingData", message + b"\0"
        longer = (footer - 1).to_bytes(2, "big") + message[end + 2:] + b"\0"
        yield "footer_longer", "A byte follows the numbers in the signature", "Signature", message[:end] + longer


def main():
    for path in HERE.glob("*.txt"):
        path.unlink()
    for index, algorithm in enumerate(Algorithm):
        suite = f"{algorithm.algorithm_id:04x}"
        key = bytes(range(1, 1 + (16, 24, 32)[index % 3]))
        for framing, frame_length in (("framed", FRAME_LENGTH), ("unframed", 0)):
            for context_name, context in CONTEXTS.items():
                for length in LENGTHS:
                    message = encrypt(algorithm, key, context, frame_length, plaintext(length))
                    name = f"{suite}_{framing}_{context_name}_{length}"
                    reason = f"Suite 0x{suite}, {framing}, {len(context)} pairs, {length} bytes"
                    write(name, reason, algorithm, key, f"ok {plaintext(length).hex()}".strip(), message)
        message = encrypt(algorithm, key, CONTEXTS["two"], FRAME_LENGTH, plaintext(300))
        for what, reason, error, broken in damaged(algorithm, message):
            write(f"{suite}_{what}", f"Suite 0x{suite}: {reason[0].lower()}{reason[1:]}", algorithm, key, f"refused {error}", broken)


if __name__ == "__main__":
    main()
