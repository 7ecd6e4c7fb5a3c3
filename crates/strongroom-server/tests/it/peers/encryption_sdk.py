"""Encrypts and decrypts with the KMS keyrings of the AWS Encryption SDK for Python, on request.

Reads one JSON object per line, and writes its answer, with bytes in hexadecimal:

    {"do": "encrypt", "keyring": {...}, "policy": ..., "suite": id or null, "context": {...}, "plaintext": ...}
        -> {"ciphertext": ...}
    {"do": "decrypt", "keyring": {...}, "policy": ..., "context": {...}, "ciphertext": ...}
        -> {"plaintext": ..., "context": {...}}

A keyring has a "kind" and its parameters, and "access_key" selects the caller. Failures are answered with
{"error": text}, which contains the texts of all causes.
"""

import json
import logging
import os
import sys

import aws_encryption_sdk
import boto3
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsDiscoveryKeyringInput,
    CreateAwsKmsEcdhKeyringInput,
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkDiscoveryKeyringInput,
    CreateAwsKmsMrkKeyringInput,
    CreateAwsKmsMrkMultiKeyringInput,
    CreateAwsKmsMultiKeyringInput,
    CreateAwsKmsRsaKeyringInput,
    DiscoveryFilter,
    KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey,
    KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery,
    KmsPrivateKeyToStaticPublicKeyInput,
    KmsPublicKeyDiscoveryInput,
)
from aws_cryptographic_material_providers.mpl.references import IClientSupplier
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy

REGION = os.environ["AWS_REGION"]
PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
CLIENTS = {}


def kms(request):
    """Returns the client of a caller. It finds the endpoint in the environment."""
    access_key = request["keyring"].get("access_key")
    if access_key not in CLIENTS:
        CLIENTS[access_key] = boto3.client("kms", aws_access_key_id=access_key,
                                           aws_secret_access_key=access_key and os.environ["AWS_SECRET_ACCESS_KEY"])
    return CLIENTS[access_key]


class Supplier(IClientSupplier):
    def __init__(self, client):
        self.client = client

    def get_client(self, param):
        assert param.region == REGION, param.region
        return self.client


def account_filter(keyring):
    return keyring.get("accounts") and DiscoveryFilter(account_ids=keyring["accounts"], partition="aws")


def rsa(client, keyring):
    return PROVIDERS.create_aws_kms_rsa_keyring(CreateAwsKmsRsaKeyringInput(
        kms_key_id=keyring["key"], encryption_algorithm="RSAES_OAEP_SHA_256", kms_client=client,
        public_key=keyring["public"].encode() if "public" in keyring else None))


def ecdh(client, keyring):
    if "peer" in keyring:
        scheme = KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey(KmsPrivateKeyToStaticPublicKeyInput(
            sender_kms_identifier=keyring["key"], recipient_public_key=bytes.fromhex(keyring["peer"])))
    else:
        scheme = KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery(
            KmsPublicKeyDiscoveryInput(recipient_kms_identifier=keyring["key"]))
    return PROVIDERS.create_aws_kms_ecdh_keyring(CreateAwsKmsEcdhKeyringInput(
        key_agreement_scheme=scheme, curve_spec=keyring["curve"], kms_client=client))


KEYRINGS = {
    "kms": lambda client, keyring: PROVIDERS.create_aws_kms_keyring(
        CreateAwsKmsKeyringInput(kms_key_id=keyring["key"], kms_client=client)),
    "multi": lambda client, keyring: PROVIDERS.create_aws_kms_multi_keyring(CreateAwsKmsMultiKeyringInput(
        generator=keyring["key"], kms_key_ids=keyring["others"], client_supplier=Supplier(client))),
    "discovery": lambda client, keyring: PROVIDERS.create_aws_kms_discovery_keyring(
        CreateAwsKmsDiscoveryKeyringInput(kms_client=client, discovery_filter=account_filter(keyring))),
    "mrk": lambda client, keyring: PROVIDERS.create_aws_kms_mrk_keyring(
        CreateAwsKmsMrkKeyringInput(kms_key_id=keyring["key"], kms_client=client)),
    "mrk_multi": lambda client, keyring: PROVIDERS.create_aws_kms_mrk_multi_keyring(CreateAwsKmsMrkMultiKeyringInput(
        generator=keyring["key"], kms_key_ids=keyring["others"], client_supplier=Supplier(client))),
    "mrk_discovery": lambda client, keyring: PROVIDERS.create_aws_kms_mrk_discovery_keyring(
        CreateAwsKmsMrkDiscoveryKeyringInput(kms_client=client, region=REGION,
                                             discovery_filter=account_filter(keyring))),
    "rsa": rsa,
    "ecdh": ecdh,
}


def source(request):
    """Returns a keyring, or the master key provider that preceded keyrings."""
    keyring = request["keyring"]
    if keyring["kind"] == "provider":
        return {"key_provider": aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=[keyring["key"]])}
    if keyring["kind"] == "discovery_provider":
        return {"key_provider": aws_encryption_sdk.DiscoveryAwsKmsMasterKeyProvider()}
    return {"keyring": KEYRINGS[keyring["kind"]](kms(request), keyring)}


def sdk(request):
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy[request["policy"]])


def encrypt(request):
    suite = request.get("suite")
    ciphertext, _header = sdk(request).encrypt(
        source=bytes.fromhex(request["plaintext"]), encryption_context=request["context"],
        algorithm=suite and Algorithm.get_by_id(suite), **source(request))
    return {"ciphertext": ciphertext.hex()}


def decrypt(request):
    keys = source(request)
    # Master key providers do not compare the context: their documentation leaves that to the caller.
    expected = {} if "key_provider" in keys else {"encryption_context": request["context"]}
    plaintext, header = sdk(request).decrypt(source=bytes.fromhex(request["ciphertext"]), **expected, **keys)
    return {"plaintext": plaintext.hex(), "context": header.encryption_context}


def texts(error):
    """Returns the texts of an error and its causes."""
    causes = [cause for cause in [*error.args, error.__cause__] if isinstance(cause, Exception)]
    causes += getattr(error, "list", None) or []
    return " | ".join([f"{type(error).__name__}: {error}"] + [texts(cause) for cause in causes])


logging.disable(logging.CRITICAL)
for line in sys.stdin:
    try:
        request = json.loads(line)
        answer = {"encrypt": encrypt, "decrypt": decrypt}[request["do"]](request)
    except Exception as error:  # every failure must be reported to the test
        answer = {"error": texts(error)}
    print(json.dumps(answer), flush=True)
