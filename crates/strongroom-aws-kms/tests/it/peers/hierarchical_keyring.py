"""Uses the AWS KMS Hierarchical keyring of the official library, with its key store, on request.

The key store is a table in the DynamoDB of moto, in this process. AWS KMS is the endpoint of the environment.

Reads one JSON object per line, and writes its answer, with bytes in hexadecimal:

    {"do": "open", "key": KMS key ARN, "name": logical name of the key store}
    {"do": "create", "id": id or null, "context": {...} or null} -> {"id": ...}
    {"do": "rotate", "id": ...}
    {"do": "query", "id": ...} -> the answer of DynamoDB, as the AWS CLI prints it
    {"do": "put", "items": [item, ...]}
    {"do": "active", "id": ...}, {"do": "version", "id": ..., "version": ...} or {"do": "beacon", "id": ...}
        -> {"key": ..., "version": ..., "context": {...}}
    {"do": "encrypt", "id": branch key id, or null for that of the pair "tenant", "suite": ..., "context": {...},
     "plaintext": ...} -> {"ciphertext": ...}
    {"do": "decrypt", "id": ..., "context": {...}, "ciphertext": ...} -> {"plaintext": ...}

Failures are answered with {"error": text}, which contains the texts of all causes.
"""

import base64
import json
import logging
import os
import sys

import aws_encryption_sdk
import boto3
from aws_cryptographic_material_providers.keystore import KeyStore
from aws_cryptographic_material_providers.keystore.config import KeyStoreConfig
from aws_cryptographic_material_providers.keystore.models import (
    CreateKeyInput,
    CreateKeyStoreInput,
    GetActiveBranchKeyInput,
    GetBeaconKeyInput,
    GetBranchKeyVersionInput,
    KMSConfigurationKmsKeyArn,
    VersionKeyInput,
)
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CacheTypeDefault,
    CreateAwsKmsHierarchicalKeyringInput,
    DefaultCache,
    GetBranchKeyIdOutput,
)
from aws_cryptographic_material_providers.mpl.references import IBranchKeyIdSupplier
from aws_encryption_sdk.identifiers import Algorithm
from moto import mock_aws

REGION = os.environ["AWS_REGION"]
TABLE = "table-of-branch-keys"
PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
SDK = aws_encryption_sdk.EncryptionSDKClient()

# The credentials of the endpoint. Those of moto replace them in the environment.
KMS = boto3.client("kms", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=REGION,
                   aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
                   aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"])
STORE = None


class Tenants(IBranchKeyIdSupplier):
    def get_branch_key_id(self, param):
        return GetBranchKeyIdOutput(branch_key_id="tenant/" + param.encryption_context["tenant"])


def dynamodb():
    return boto3.client("dynamodb", endpoint_url=f"https://dynamodb.{REGION}.amazonaws.com", region_name=REGION)


def open_store(request):
    global STORE
    STORE = KeyStore(config=KeyStoreConfig(
        ddb_table_name=TABLE, logical_key_store_name=request["name"], ddb_client=dynamodb(), kms_client=KMS,
        kms_configuration=KMSConfigurationKmsKeyArn(request["key"])))
    STORE.create_key_store(CreateKeyStoreInput())
    return {}


def create(request):
    made = STORE.create_key(CreateKeyInput(
        branch_key_identifier=request["id"], encryption_context=request["context"]))
    return {"id": made.branch_key_identifier}


def rotate(request):
    STORE.version_key(VersionKeyInput(branch_key_identifier=request["id"]))
    return {}


def to_cli(value):
    """Returns a value as the AWS CLI prints it: bytes are in Base64."""
    return {kind: base64.b64encode(data).decode() if kind == "B" else data for kind, data in value.items()}


def from_cli(value):
    return {kind: base64.b64decode(data) if kind == "B" else data for kind, data in value.items()}


def query(request):
    answer = dynamodb().query(
        TableName=TABLE, KeyConditionExpression="#id = :id", ExpressionAttributeNames={"#id": "branch-key-id"},
        ExpressionAttributeValues={":id": {"S": request["id"]}})
    items = [{name: to_cli(value) for name, value in item.items()} for item in answer["Items"]]
    return {"Items": items, "Count": answer["Count"], "ScannedCount": answer["ScannedCount"], "ConsumedCapacity": None}


def put(request):
    for item in request["items"]:
        dynamodb().put_item(TableName=TABLE, Item={name: from_cli(value) for name, value in item.items()})
    return {}


def branch_key(materials):
    version = materials.branch_key_version
    return {"key": materials.branch_key.hex(), "context": materials.encryption_context,
            "version": version.decode() if isinstance(version, bytes) else version}


def active(request):
    return branch_key(STORE.get_active_branch_key(
        GetActiveBranchKeyInput(branch_key_identifier=request["id"])).branch_key_materials)


def version(request):
    return branch_key(STORE.get_branch_key_version(GetBranchKeyVersionInput(
        branch_key_identifier=request["id"], branch_key_version=request["version"])).branch_key_materials)


def beacon(request):
    materials = STORE.get_beacon_key(
        GetBeaconKeyInput(branch_key_identifier=request["id"])).beacon_key_materials
    return {"key": materials.beacon_key.hex(), "context": materials.encryption_context}


def keyring(request):
    chosen = {"branch_key_id": request["id"]} if request["id"] else {"branch_key_id_supplier": Tenants()}
    return PROVIDERS.create_aws_kms_hierarchical_keyring(CreateAwsKmsHierarchicalKeyringInput(
        key_store=STORE, ttl_seconds=600, cache=CacheTypeDefault(value=DefaultCache(entry_capacity=100)), **chosen))


def encrypt(request):
    ciphertext, _header = SDK.encrypt(
        source=bytes.fromhex(request["plaintext"]), encryption_context=request["context"],
        algorithm=Algorithm.get_by_id(request["suite"]), keyring=keyring(request))
    return {"ciphertext": ciphertext.hex()}


def decrypt(request):
    plaintext, _header = SDK.decrypt(
        source=bytes.fromhex(request["ciphertext"]), encryption_context=request["context"], keyring=keyring(request))
    return {"plaintext": plaintext.hex()}


ACTIONS = {"open": open_store, "create": create, "rotate": rotate, "query": query, "put": put, "active": active,
           "version": version, "beacon": beacon, "encrypt": encrypt, "decrypt": decrypt}


def texts(error):
    """Returns the texts of an error and its causes."""
    causes = [cause for cause in [*error.args, error.__cause__] if isinstance(cause, Exception)]
    causes += getattr(error, "list", None) or []
    return " | ".join([f"{type(error).__name__}: {error}"] + [texts(cause) for cause in causes])


logging.disable(logging.CRITICAL)
with mock_aws():
    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer = ACTIONS[request["do"]](request)
        except Exception as error:  # every failure must be reported to the test
            answer = {"error": texts(error)}
        print(json.dumps(answer), flush=True)
