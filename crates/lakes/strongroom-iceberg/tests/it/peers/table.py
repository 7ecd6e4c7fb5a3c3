"""Decrypts the manifest list of an encrypted Iceberg table, from its metadata on the standard input.

Written from the specification: https://iceberg.apache.org/spec/#table-metadata (encryption keys) and
https://iceberg.apache.org/gcm-stream-spec/ (AGS1). The KMS is called over the API of AWS KMS, without an
encryption context, as `AwsKeyManagementClient` of Iceberg for Java does.
"""

import base64
import json
import struct
import sys

import boto3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE, TAG = 12, 16


def open_sealed(key, sealed, associated):
    return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], associated)


def avro_long(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


def avro_bytes(data, at):
    length, at = avro_long(data, at)
    return data[at : at + length], at + length


def key_metadata(data):
    """Returns the key and the prefix of the associated data: a version, and a record in Avro."""
    assert data[0] == 1
    key, at = avro_bytes(data, 1)
    branch, at = avro_long(data, at)
    prefix = avro_bytes(data, at)[0] if branch == 1 else b""
    return key, prefix


def open_stream(stored, key, prefix):
    magic, block = stored[:4], struct.unpack("<I", stored[4:8])[0]
    assert magic == b"AGS1"
    plaintext, stored = b"", stored[8:]
    for index, start in enumerate(range(0, len(stored), block + NONCE + TAG)):
        sealed = stored[start : start + block + NONCE + TAG]
        plaintext += open_sealed(key, sealed, prefix + struct.pack("<I", index))
    return plaintext


table = json.load(sys.stdin)
keys = {key["key-id"]: key for key in table["encryption-keys"]}
snapshot = next(entry for entry in table["snapshots"] if entry["snapshot-id"] == table["current-snapshot-id"])
of_list = keys[snapshot["key-id"]]
of_keys = keys[of_list["encrypted-by-id"]]
wrapped = base64.b64decode(of_keys["encrypted-key-metadata"])
answer = boto3.client("kms").decrypt(KeyId=of_keys["encrypted-by-id"], CiphertextBlob=wrapped)
timestamp = of_keys["properties"]["KEY_TIMESTAMP"].encode()
sealed = base64.b64decode(of_list["encrypted-key-metadata"])
key, prefix = key_metadata(open_sealed(answer["Plaintext"], sealed, timestamp))
with open(snapshot["manifest-list"].removeprefix("file://"), "rb") as file:
    manifest_list = open_stream(file.read(), key, prefix)
json.dump(
    {
        "magic": manifest_list[:3].decode() + str(manifest_list[3]),
        "names_manifest": b"1-manifest.avro" in manifest_list,
        "key_bytes": len(key),
    },
    sys.stdout,
)
