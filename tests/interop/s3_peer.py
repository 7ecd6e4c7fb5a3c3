"""Encrypts and decrypts objects with the official Amazon S3 Encryption Client for Python, on request.

Reads one JSON object per line, and writes its answer, with bytes in hexadecimal:

    {"do": "version"} -> {"version": ...}
    {"do": "put", "version": 2 or 3, "key": ..., "context": {...}, "parts": [...]} -> {"body": ..., "metadata": {...}}
    {"do": "get", "policy": ..., "key": ..., "context": {...}, "body": ..., "metadata": {...}, "file": text or null,
     "legacy": bool, "parts": length or null} -> {"plaintext": ...}

The key is the ARN of a KMS key, or {"aes": ...} or {"rsa": PKCS #8}: then the client uses a keyring of this script,
which wraps and unwraps with `cryptography`. Several parts are a multipart upload. Failures are answered with
{"error": text}.

S3 is moto, in this process. Requests to KMS are written as {"operation": ..., "body": ...}, and the next line is their
response. S3 changes metadata outside ASCII, which moto does not, so all contexts are ASCII.
"""

import base64
import io
import json
import os
import sys

import boto3
import botocore.config
from botocore.awsrequest import AWSResponse
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from importlib.metadata import version
from moto import mock_aws
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.encrypted_data_key import EncryptedDataKey
from s3_encryption.materials.keyring import S3Keyring
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

BUCKET, KEY = "bucket", "folder/object"
SUITES = {
    2: (AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT),
    3: (AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY, CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT),
}
NAMES = {2: b"AES/GCM/NoPadding", 3: b"115"}


class Body(io.BytesIO):
    """The body of a response, as urllib3 presents it."""

    def stream(self, **_):
        yield self.read()


def kms_through_pipes(request, **_):
    target = request.headers["X-Amz-Target"]
    target = target.decode() if isinstance(target, bytes) else target
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    print(json.dumps({"operation": target.removeprefix("TrentService."), "body": body}), flush=True)
    answer = json.loads(sys.stdin.readline())
    return AWSResponse(request.url, answer["status"], {"Content-Type": "application/x-amz-json-1.1"},
                       Body(base64.b64decode(answer["body"])))


class RawKeyring(S3Keyring):
    """Raw keys, in the format of the clients for Java and Ruby. The client for Python has none."""

    def __init__(self, key, format_version):
        self.name = NAMES[format_version]
        self.aes = bytes.fromhex(key["aes"]) if "aes" in key else None
        self.rsa = serialization.load_der_private_key(bytes.fromhex(key["rsa"]), None) if "rsa" in key else None
        self.oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)

    def on_encrypt(self, enc_materials):
        materials = super().on_encrypt(enc_materials)
        data_key = os.urandom(32)
        if self.aes:
            iv = os.urandom(12)
            wrapped = iv + AESGCM(self.aes).encrypt(iv, data_key, self.name)
        else:
            wrapped = self.rsa.public_key().encrypt(bytes([32]) + data_key + self.name, self.oaep)
        materials.plaintext_data_key = data_key
        materials.encrypted_data_key = EncryptedDataKey(b"S3Keyring", "AES/GCM" if self.aes else "RSA-OAEP-SHA1", wrapped)
        return materials

    def on_decrypt(self, dec_materials, encrypted_data_keys=None):
        materials = super().on_decrypt(dec_materials, encrypted_data_keys)
        data_key = materials.encrypted_data_keys[0]
        assert data_key.key_provider_info == ("AES/GCM" if self.aes else "RSA-OAEP-SHA1"), data_key.key_provider_info
        wrapped = data_key.encrypted_data_key
        if self.aes:
            materials.plaintext_data_key = AESGCM(self.aes).decrypt(wrapped[:12], wrapped[12:], self.name)
        else:
            encoded = self.rsa.decrypt(wrapped, self.oaep)
            assert encoded[0] == 32 and encoded[33:] == self.name, encoded[33:]
            materials.plaintext_data_key = encoded[1:33]
        return materials


def keyring(request, kms, format_version):
    if isinstance(request["key"], str):
        return KmsKeyring(kms, request["key"], enable_legacy_wrapping_algorithms=request.get("legacy", False))
    return RawKeyring(request["key"], format_version)


def new_s3():
    return boto3.client("s3", config=botocore.config.Config(retries={"total_max_attempts": 1}))


def put(request, kms):
    suite, policy = SUITES[request["version"]]
    config = S3EncryptionClientConfig(keyring(request, kms, request["version"]), encryption_algorithm=suite,
                                      commitment_policy=policy)
    client = S3EncryptionClient(new_s3(), config)
    parts, context = [bytes.fromhex(part) for part in request["parts"]], request["context"]
    if len(parts) == 1:
        client.put_object(Bucket=BUCKET, Key=KEY, Body=parts[0], EncryptionContext=context)
    else:
        upload = {"Bucket": BUCKET, "Key": KEY,
                  "UploadId": client.create_multipart_upload(Bucket=BUCKET, Key=KEY, EncryptionContext=context)["UploadId"]}
        done = []
        for number, part in enumerate(parts, 1):
            answer = client.upload_part(**upload, PartNumber=number, Body=part, IsLastPart=number == len(parts))
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    stored = new_s3().get_object(Bucket=BUCKET, Key=KEY)
    return {"body": stored["Body"].read().hex(), "metadata": stored["Metadata"]}


def get(request, kms):
    plain, body, metadata = new_s3(), bytes.fromhex(request["body"]), request["metadata"]
    length = request.get("parts")
    if length:
        upload = {"Bucket": BUCKET, "Key": KEY,
                  "UploadId": plain.create_multipart_upload(Bucket=BUCKET, Key=KEY, Metadata=metadata)["UploadId"]}
        done = []
        for number, start in enumerate(range(0, len(body), length), 1):
            answer = plain.upload_part(**upload, PartNumber=number, Body=body[start:start + length])
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        plain.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    else:
        plain.put_object(Bucket=BUCKET, Key=KEY, Body=body, Metadata=metadata)
    plain.delete_object(Bucket=BUCKET, Key=KEY + ".instruction")
    if request.get("file") is not None:
        plain.put_object(Bucket=BUCKET, Key=KEY + ".instruction", Body=request["file"].encode(),
                         Metadata={"x-amz-crypto-instr-file": ""})
    policy = CommitmentPolicy[request["policy"]]
    format_version = 3 if "x-amz-c" in metadata else 2
    suite = SUITES[2 if policy is CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT else 3][0]
    config = S3EncryptionClientConfig(keyring(request, kms, format_version), encryption_algorithm=suite,
                                      commitment_policy=policy,
                                      enable_legacy_unauthenticated_modes=request.get("legacy", False))
    client = S3EncryptionClient(new_s3(), config)
    return {"plaintext": client.get_object(Bucket=BUCKET, Key=KEY, EncryptionContext=request["context"])["Body"].read().hex()}


def main():
    os.environ.update(AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1",
                      AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="", AWS_SHARED_CREDENTIALS_FILE="")
    with mock_aws():
        new_s3().create_bucket(Bucket=BUCKET)
        kms = boto3.client("kms", config=botocore.config.Config(retries={"total_max_attempts": 1}))
        # Before the handler of moto, which has a KMS of its own.
        kms.meta.events.register_first("before-send.kms", kms_through_pipes)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if request["do"] == "version":
                    name = "amazon-s3-encryption-client-python"
                    answer = {"version": f"{name} {version(name)}, moto {version('moto')}"}
                else:
                    answer = {"put": put, "get": get}[request["do"]](request, kms)
            except Exception as error:  # noqa: BLE001
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


main()
