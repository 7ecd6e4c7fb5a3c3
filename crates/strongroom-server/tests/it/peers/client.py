"""Calls a server with boto3, as the environment describes, and prints what happened as JSON."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"total_max_attempts": 1})
options = {"endpoint_url": os.environ["ENDPOINT"], "config": config, "verify": os.environ.get("CA_FILE")}
kms = boto3.client("kms", **options)
sts = boto3.client("sts", **options)
ssm = boto3.client("ssm", **options)
report = {}


def attempt(name, call):
    try:
        report[name] = call()
    except ClientError as error:
        answer = error.response
        report[name] = {
            "code": answer["Error"]["Code"],
            "message": answer["Error"]["Message"],
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
        }


def round_trip():
    created = kms.create_key(Description="boto3")
    key = created["KeyMetadata"]["KeyId"]
    encrypted = kms.encrypt(KeyId=key, Plaintext=b"4711", EncryptionContext={"invoice": "17"})
    decrypted = kms.decrypt(CiphertextBlob=encrypted["CiphertextBlob"], EncryptionContext={"invoice": "17"})
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signature = kms.sign(KeyId=signing, Message=b"message", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    verified = kms.verify(
        KeyId=signing, Message=b"message", Signature=signature, SigningAlgorithm="ECDSA_SHA_256"
    )["SignatureValid"]
    pages = kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1})
    return {
        "plaintext": decrypted["Plaintext"].decode(),
        "data_key": len(data_key["Plaintext"]),
        "verified": verified,
        "keys": sum(len(page["Keys"]) for page in pages),
        "arn": created["KeyMetadata"]["Arn"],
        "request_id": created["ResponseMetadata"]["RequestId"],
        "has_date": "date" in created["ResponseMetadata"]["HTTPHeaders"],
    }


def identity():
    answer = sts.get_caller_identity()
    return {name: answer[name] for name in ("UserId", "Account", "Arn")}


def parameters():
    ssm.put_parameter(Name="/shop/db/password", Value="correct horse", Type="SecureString")
    found = ssm.get_parameter(Name="/shop/db/password", WithDecryption=True)
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True)
    return {
        "value": found["Parameter"]["Value"],
        "arn": found["Parameter"]["ARN"],
        "request_id": found["ResponseMetadata"]["RequestId"],
        "below": sum(len(page["Parameters"]) for page in pages),
    }


attempt("identity", identity)
if "PARAMETERS" in os.environ:
    attempt("parameters", parameters)
    attempt("missing_parameter", lambda: ssm.get_parameter(Name="/missing"))
attempt("round_trip", round_trip)
blob, mrk, key = b"\0" * 94, "mrk-" + "0" * 32, "00000000-0000-4000-8000-000000000000"
attempt("missing_source", lambda: kms.decrypt(CiphertextBlob=blob, KeyId=mrk))
attempt("missing_re_encrypt_source", lambda: kms.re_encrypt(CiphertextBlob=blob, SourceKeyId=mrk, DestinationKeyId=key))
attempt("missing", lambda: kms.describe_key(KeyId="alias/missing"))
print(json.dumps(report, default=str))
