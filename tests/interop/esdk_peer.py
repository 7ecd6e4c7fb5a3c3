"""Encrypts and decrypts with the official Encryption SDK for Python, on request.

Reads one request per line from standard input and writes one answer per line to standard output. Both are JSON, with
bytes in hexadecimal.

    {"do": "encrypt", "key": ..., "namespace": ..., "name": ..., "context": {...}, "frame_length": n, "plaintext": ...}
        -> {"ciphertext": ...}
    {"do": "decrypt", "key": ..., "namespace": ..., "name": ..., "ciphertext": ...}
        -> {"plaintext": ..., "context": {...}}
    {"do": "version"}
        -> {"version": "4.0.7"}

"suite": n selects the algorithm suite of a message to write (the default is 0x0478). A frame length of 0 writes an
unframed message. "allow_version_1": true allows reading suites without commitment.

With "keyring": true in the request, the data key is wrapped by a keyring of the material providers library, a different
implementation from the SDK's own master keys. The following fields change that keyring:

- "rsa": {"padding": ..., "public": pem, "private": pem} or "ecdh": {"scheme": "static", "ephemeral" or "discovery",
  "curve": ..., "private": pem, "public": hexadecimal DER}: the keyring uses such keys.
- "children": [{"key": ..., "namespace": ..., "name": ...}, ...]: the keyring is the generator of a multi-keyring.
- "required": [name, ...]: the encryption context must contain these names. The "context" of a decryption is the part that
  the reader supplies.

Failures are answered with {"error": text}. Needs the packages of requirements.txt.
"""

import functools
import json
import logging
import sys
from importlib.metadata import version

import aws_encryption_sdk
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateMultiKeyringInput,
    CreateRawAesKeyringInput,
    CreateRawEcdhKeyringInput,
    CreateRawRsaKeyringInput,
    CreateRequiredEncryptionContextCMMInput,
    EphemeralPrivateKeyToStaticPublicKeyInput,
    PublicKeyDiscoveryInput,
    RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey,
    RawEcdhStaticConfigurationsPublicKeyDiscovery,
    RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey,
    RawPrivateKeyToStaticPublicKeyInput,
)
from aws_cryptography_primitives.internaldafny.extern import RSAEncryption
from aws_encryption_sdk.identifiers import Algorithm, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

WRAPPING = {
    16: WrappingAlgorithm.AES_128_GCM_IV12_TAG16_NO_PADDING,
    24: WrappingAlgorithm.AES_192_GCM_IV12_TAG16_NO_PADDING,
    32: WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
}

RSA_WRAPPING = {
    "PKCS1": WrappingAlgorithm.RSA_PKCS1,
    "OAEP_SHA1_MGF1": WrappingAlgorithm.RSA_OAEP_SHA1_MGF1,
    "OAEP_SHA256_MGF1": WrappingAlgorithm.RSA_OAEP_SHA256_MGF1,
    "OAEP_SHA384_MGF1": WrappingAlgorithm.RSA_OAEP_SHA384_MGF1,
    "OAEP_SHA512_MGF1": WrappingAlgorithm.RSA_OAEP_SHA512_MGF1,
}

KEYRING_WRAPPING = {
    16: AesWrappingAlg.ALG_AES128_GCM_IV12_TAG16,
    24: AesWrappingAlg.ALG_AES192_GCM_IV12_TAG16,
    32: AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
}

# The library parses and fully checks a private key again for each message, which takes 90 ms.
RSAEncryption.load_pem_private_key = functools.lru_cache(RSAEncryption.load_pem_private_key)

MATERIAL_PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())

CLIENTS = {
    policy: aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy) for policy in CommitmentPolicy
}


def client(request, algorithm=None):
    """Returns the strictest client, unless the request reads or writes suites of version 1."""
    if algorithm is not None and not algorithm.is_committing():
        return CLIENTS[CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT]
    if request.get("allow_version_1"):
        return CLIENTS[CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT]
    return CLIENTS[CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT]


def raw_aes_keyring(member):
    key = bytes.fromhex(member["key"])
    return MATERIAL_PROVIDERS.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace=member["namespace"],
            key_name=member["name"],
            wrapping_key=key,
            wrapping_alg=KEYRING_WRAPPING[len(key)],
        )
    )


def raw_rsa_keyring(request):
    key = request["rsa"]
    return MATERIAL_PROVIDERS.create_raw_rsa_keyring(
        CreateRawRsaKeyringInput(
            key_namespace=request["namespace"],
            key_name=request["name"],
            padding_scheme=key["padding"],
            public_key=key["public"].encode(),
            private_key=key["private"].encode(),
        )
    )


def raw_ecdh_keyring(request):
    key = request["ecdh"]
    own = key.get("private", "").encode()
    # The public key must be DER, contrary to the documentation.
    peer = bytes.fromhex(key.get("public", ""))
    scheme = {
        "static": lambda: RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey(
            RawPrivateKeyToStaticPublicKeyInput(sender_static_private_key=own, recipient_public_key=peer)
        ),
        "ephemeral": lambda: RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey(
            EphemeralPrivateKeyToStaticPublicKeyInput(recipient_public_key=peer)
        ),
        "discovery": lambda: RawEcdhStaticConfigurationsPublicKeyDiscovery(
            PublicKeyDiscoveryInput(recipient_static_private_key=own)
        ),
    }[key["scheme"]]()
    return MATERIAL_PROVIDERS.create_raw_ecdh_keyring(
        CreateRawEcdhKeyringInput(key_agreement_scheme=scheme, curve_spec=key["curve"])
    )


def request_keyring(request):
    if "rsa" in request:
        return raw_rsa_keyring(request)
    if "ecdh" in request:
        return raw_ecdh_keyring(request)
    keyring = raw_aes_keyring(request)
    if "children" not in request:
        return keyring
    children = [raw_aes_keyring(child) for child in request["children"]]
    return MATERIAL_PROVIDERS.create_multi_keyring(CreateMultiKeyringInput(generator=keyring, child_keyrings=children))


def master_key(request):
    """Returns the raw AES key of a request, or the private half of its RSA key."""
    if "rsa" in request:
        return WrappingKey(
            wrapping_algorithm=RSA_WRAPPING[request["rsa"]["padding"]],
            wrapping_key=request["rsa"]["private"].encode(),
            wrapping_key_type=EncryptionKeyType.PRIVATE,
        )
    key = bytes.fromhex(request["key"])
    return WrappingKey(
        wrapping_algorithm=WRAPPING[len(key)], wrapping_key=key, wrapping_key_type=EncryptionKeyType.SYMMETRIC
    )


def key_source(request):
    """Returns the keys of a request as a keyring, or its only raw AES or RSA key as a master key provider."""
    if "required" in request:
        default = MATERIAL_PROVIDERS.create_default_cryptographic_materials_manager(
            CreateDefaultCryptographicMaterialsManagerInput(keyring=request_keyring(request))
        )
        manager = MATERIAL_PROVIDERS.create_required_encryption_context_cmm(
            CreateRequiredEncryptionContextCMMInput(
                underlying_cmm=default, required_encryption_context_keys=request["required"]
            )
        )
        return {"materials_manager": manager}
    if request.get("keyring"):
        return {"keyring": request_keyring(request)}

    class OneKey(RawMasterKeyProvider):
        provider_id = request["namespace"]

        def _get_raw_key(self, key_id):
            return master_key(request)

    provider = OneKey()
    provider.add_master_key(request["name"])
    return {"key_provider": provider}


def encrypt(request):
    algorithm = Algorithm.get_by_id(request.get("suite", Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY.algorithm_id))
    ciphertext, _header = client(request, algorithm).encrypt(
        source=bytes.fromhex(request["plaintext"]),
        encryption_context=request["context"],
        frame_length=request["frame_length"],
        algorithm=algorithm,
        **key_source(request),
    )
    return {"ciphertext": ciphertext.hex()}


def decrypt(request):
    reproduced = {"encryption_context": request["context"]} if "required" in request else {}
    plaintext, header = client(request).decrypt(
        source=bytes.fromhex(request["ciphertext"]), **reproduced, **key_source(request)
    )
    return {"plaintext": plaintext.hex(), "context": header.encryption_context}


def report_version(_request):
    return {"version": version("aws-encryption-sdk")}


ACTIONS = {"encrypt": encrypt, "decrypt": decrypt, "version": report_version}


def main():
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer = ACTIONS[request["do"]](request)
        except Exception as error:  # every failure must be reported to the other side
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
