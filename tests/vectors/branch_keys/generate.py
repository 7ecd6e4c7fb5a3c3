"""Writes messages of the AWS KMS Hierarchical keyring of the official library under known branch keys.

Run with the packages of tests/interop/requirements.txt: python tests/vectors/branch_keys/generate.py

The key store is a table in the DynamoDB of moto. In the place of AWS KMS is a client that knows the branch key.
"""

import os
import pathlib

os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="eu-west-1")

import aws_encryption_sdk
import boto3
from aws_cryptographic_material_providers.keystore import KeyStore
from aws_cryptographic_material_providers.keystore.config import KeyStoreConfig
from aws_cryptographic_material_providers.keystore.models import (
    CreateKeyInput,
    CreateKeyStoreInput,
    GetActiveBranchKeyInput,
    KMSConfigurationKmsKeyArn,
)
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsHierarchicalKeyringInput
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy
from moto import mock_aws

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BRANCH_KEY = bytes(range(0x20, 0x40))
PLAINTEXT = "two pots of tea".encode()
CONTEXT = {"tenant": "42", "Straße": "日本", "\U0001f511": "", "\uffa1": "x"}

# The suite, and the ID of the branch key. The data keys have 16, 24 and 32 bytes.
CASES = {
    "commitment": (0x0478, "tenant/42"),
    "commitment_and_signature": (0x0578, "tenant/42"),
    "data_key_of_32_bytes": (0x0178, "tenant/42"),
    "data_key_of_24_bytes": (0x0146, "tenant/42"),
    "data_key_of_16_bytes": (0x0114, "tenant/42"),
    "without_derivation": (0x0014, "tenant/42"),
    "id_that_is_not_ascii": (0x0478, "Mieter 日本 \U0001f511"),
}


def known_key():
    """Returns a client of AWS KMS that makes no calls."""
    client = boto3.client("kms")
    client.generate_data_key_without_plaintext = lambda **_request: {"KeyId": ARN, "CiphertextBlob": b"wrapped"}
    client.re_encrypt = lambda **_request: {"KeyId": ARN, "SourceKeyId": ARN, "CiphertextBlob": b"wrapped"}
    client.decrypt = lambda **_request: {"KeyId": ARN, "Plaintext": BRANCH_KEY}
    return client


def main():
    folder = pathlib.Path(__file__).resolve().parent
    store = KeyStore(config=KeyStoreConfig(
        ddb_table_name="keys", logical_key_store_name="keys", ddb_client=boto3.client("dynamodb"),
        kms_client=known_key(), kms_configuration=KMSConfigurationKmsKeyArn(ARN)))
    store.create_key_store(CreateKeyStoreInput())
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    versions = {}
    for name, (suite, branch_key_id) in CASES.items():
        if branch_key_id not in versions:
            store.create_key(CreateKeyInput(branch_key_identifier=branch_key_id, encryption_context={"a": "b"}))
            found = store.get_active_branch_key(GetActiveBranchKeyInput(branch_key_identifier=branch_key_id))
            version = found.branch_key_materials.branch_key_version
            versions[branch_key_id] = version.decode() if isinstance(version, bytes) else version
        algorithm = Algorithm.get_by_id(suite)
        committing = algorithm.is_committing()
        policy = (CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT if committing
                  else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
        keyring = providers.create_aws_kms_hierarchical_keyring(CreateAwsKmsHierarchicalKeyringInput(
            key_store=store, ttl_seconds=600, branch_key_id=branch_key_id))
        message, _header = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy).encrypt(
            source=PLAINTEXT, encryption_context=CONTEXT, algorithm=algorithm, keyring=keyring)
        lines = [
            f"# Suite {suite:#06x}, written by the AWS Encryption SDK for Python.",
            f"branch key id: {branch_key_id}",
            f"branch key version: {versions[branch_key_id]}",
            f"branch key: {BRANCH_KEY.hex()}",
            f"expect: {PLAINTEXT.hex()}",
            f"ciphertext: {message.hex()}",
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


with mock_aws():
    main()
