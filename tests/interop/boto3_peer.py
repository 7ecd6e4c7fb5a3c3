"""Calls every operation of AWS KMS with boto3, and checks the answers.

The requests are serialized, and the responses parsed, by botocore. If the environment variable
ENDPOINT is set, they are signed and sent to this URL. Otherwise the transport is replaced: a request
is one line of JSON on the standard output, its response one line on the standard input. The last line
of the output reports the problems, and each call with its request ID.

The cases are generated from the model of botocore: each operation with its required members and each
optional one, each value of each enumeration, and the bounds of each member.
"""

import base64
import datetime
import io
import json
import os
import re
import sys
import uuid

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

CLUSTERS = ["cluster-2a34b5cdefg", "cluster-3b45c6defgh"]
PASSWORD = "kmsPswd1"
ALICE = "arn:aws:iam::000000000000:user/alice"

# Values of the model for which the library has no feature.
LACKING_VALUES = {
    "SM2", "SM2PKE", "SM2DSA", "EXTERNAL_KEY_STORE", "RSAES_PKCS1_V1_5",
}
LACKING_OPERATIONS = {"ReplicateKey", "UpdatePrimaryRegion"}
LACKING_MEMBERS = {
    "Recipient", "XksKeyId", "XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyVpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner", "XksProxyAuthenticationCredential", "XksProxyConnectivity",
}
# Members of answers that only those features have.
LACKING_ANSWERS = {
    "MultiRegionConfiguration", "XksKeyConfiguration", "CiphertextForRecipient",
    "PendingDeletionWindowInDays", "OnDemandRotationStartDate", "CloudTrailEventId", "KmsRequestId", "SourceArn",
    "GranteeServicePrincipal", "RetiringServicePrincipal", "TrustAnchorCertificate", "XksProxyConfiguration",
}
UNSUPPORTED, INVALID, OK = "UnsupportedOperationException", "ValidationException", "ok"


class Body(io.BytesIO):
    """The body of a response, as urllib3 presents it."""

    def stream(self, **_):
        yield self.read()


class Pipes:
    """A transport through the standard input and output."""

    def __call__(self, request, **_):
        target = request.headers["X-Amz-Target"]
        target = target.decode() if isinstance(target, bytes) else target
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        request_id = str(uuid.uuid4())
        line = {"id": request_id, "operation": target.removeprefix("TrentService."), "body": body}
        print(json.dumps(line), flush=True)
        answer = json.loads(sys.stdin.readline())
        headers = {"x-amzn-RequestId": request_id, "Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, answer["status"], headers, Body(base64.b64decode(answer["body"])))


class Responses:
    """Keeps the body of the last response, and the outcome of each."""

    def __init__(self):
        self.last = None
        self.calls = []

    def __call__(self, operation_model, response_dict, **_):
        self.last = response_dict["body"]
        code = OK if response_dict["status_code"] < 300 else json.loads(self.last)["__type"]
        request_id = response_dict["headers"]["x-amzn-RequestId"]
        self.calls.append({"id": request_id, "operation": operation_model.name, "outcome": code})


class Client:
    """boto3's client."""

    def __init__(self):
        session = botocore.session.Session()
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        endpoint, arguments = os.environ.get("ENDPOINT"), {}
        if endpoint is None:
            endpoint = "https://kms.invalid"
            arguments = {"region_name": "local", "aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
        self.kms = session.create_client("kms", endpoint_url=endpoint, config=config, **arguments)
        if arguments:
            self.kms.meta.events.register("before-send.kms", Pipes())
        self.transport = Responses()
        self.kms.meta.events.register("before-parse.kms", self.transport)
        self.model = self.kms.meta.service_model
        self.methods = {operation: method for method, operation in self.kms.meta.method_to_api_mapping.items()}
        self.seen = set()
        self.problems = []
        self.cases = 0

    def call(self, operation, params):
        """Returns `ok` with the answer, or the code with the text of the error."""
        self.cases += 1
        try:
            answer = getattr(self.kms, self.methods[operation])(**params)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.check_error(operation, params, error, status)
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        shape = self.model.operation_model(operation).output_shape
        if shape is None:
            self.expect(self.transport.last == b"", operation, params, "an operation without output has a body")
        else:
            self.check_members(operation, shape, json.loads(self.transport.last))
        return OK, answer

    def must(self, operation, **params):
        """Returns the answer of a call that must succeed."""
        outcome, answer = self.call(operation, params)
        if outcome != OK:
            raise SystemExit(f"{operation} {params}: {outcome}: {answer}")
        return answer

    def check_error(self, operation, params, error, status):
        code = error.response["Error"]["Code"]
        modelled = {shape.name for shape in self.model.operation_model(operation).error_shapes}
        # The model of ListKeyPolicies lacks the exception for a bad marker.
        general = {INVALID, "AccessDeniedException", "NotAuthorizedException", "InvalidMarkerException", UNSUPPORTED,
                   "DryRunOperationException", "InvalidGrantTokenException", "InvalidArnException", "NotFoundException"}
        self.expect(status == 400, operation, params, f"{code} has status {status}")
        self.expect(code in modelled | general, operation, params, f"{code} is not an error of the operation")
        if code in modelled:
            self.expect(type(error).__name__ == code, operation, params, f"{code} was not parsed as its exception")

    def check_members(self, path, shape, value):
        """Checks that an answer has only members of the model, with their JSON types."""
        types = {"string": str, "boolean": bool, "integer": int, "blob": str, "timestamp": (int, float),
                 "structure": dict, "map": dict, "list": list}
        self.expect(isinstance(value, types[shape.type_name]), path, value, f"is no {shape.type_name}")
        if shape.type_name == "structure":
            for name, member in value.items():
                self.seen.add(f"{shape.name}.{name}")
                if name not in shape.members:
                    self.expect(False, path, name, "is not in the model")
                else:
                    self.check_members(f"{path}.{name}", shape.members[name], member)
        elif shape.type_name == "list":
            for member in value:
                self.check_members(path, shape.member, member)

    def expect(self, condition, *what):
        if not condition:
            self.problems.append(" ".join(str(part)[:400] for part in what))

    def case(self, operation, params, expected, what):
        """Makes a call whose outcome is one of those expected."""
        outcome, answer = self.call(operation, params)
        expected = {expected} if isinstance(expected, str) else expected
        text = answer if outcome != OK else ""
        self.expect(outcome in expected, operation, what, f"is {outcome} instead of {expected}: {text}")
        return outcome, text


class World:
    """The keys that the cases use, and a valid request for each operation."""

    def __init__(self, client):
        self.client = client
        self.count = 0
        must = client.must
        self.sym = self.key()
        self.rotating = self.key()
        self.disabled = self.key()
        must("DisableKey", KeyId=self.disabled)
        self.rsa_encrypt = self.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
        self.rsa_sign = self.key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        self.ecc = self.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.edwards = self.key(KeySpec="ECC_NIST_EDWARDS25519", KeyUsage="SIGN_VERIFY")
        self.agreement = self.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
        self.ml_dsa = self.key(KeySpec="ML_DSA_44", KeyUsage="SIGN_VERIFY")
        self.ml_kem = self.key(KeySpec="ML_KEM_512", KeyUsage="ENCAPSULATE_DECAPSULATE")
        self.hmac = self.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        self.external = self.key(Origin="EXTERNAL")
        self.leaving = self.key(Origin="EXTERNAL")
        must("ScheduleKeyDeletion", KeyId=self.leaving)
        self.imported = self.key(Origin="EXTERNAL")
        self.store = must("CreateCustomKeyStore", CustomKeyStoreName="main", CloudHsmClusterId=CLUSTERS[0],
                          KeyStorePassword=PASSWORD)["CustomKeyStoreId"]
        must("ConnectCustomKeyStore", CustomKeyStoreId=self.store)
        self.ciphertext = must("Encrypt", KeyId=self.sym, Plaintext=b"four words")["CiphertextBlob"]
        self.token = must("CreateGrant", KeyId=self.sym, GranteePrincipal=ALICE, Operations=["Decrypt"])["GrantToken"]
        self.peer = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.policy = must("GetKeyPolicy", KeyId=self.sym)["Policy"]
        self.import_parameters()

    def key(self, **params):
        return self.client.must("CreateKey", **params)["KeyMetadata"]["KeyId"]

    def next(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def import_parameters(self):
        parameters = self.client.must("GetParametersForImport", KeyId=self.imported, WrappingKeySpec="RSA_2048",
                                      WrappingAlgorithm="RSAES_OAEP_SHA_256")
        wrapping = serialization.load_der_public_key(parameters["PublicKey"])
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        self.import_token = parameters["ImportToken"]
        self.material = wrapping.encrypt(bytes(range(32)), oaep)

    def free_cluster(self):
        """Returns the second cluster, without a custom key store."""
        for store in self.client.must("DescribeCustomKeyStores")["CustomKeyStores"]:
            if store["CloudHsmClusterId"] == CLUSTERS[1]:
                if store["ConnectionState"] != "DISCONNECTED":
                    self.client.must("DisconnectCustomKeyStore", CustomKeyStoreId=store["CustomKeyStoreId"])
                self.client.must("DeleteCustomKeyStore", CustomKeyStoreId=store["CustomKeyStoreId"])
        return CLUSTERS[1]

    def new_store(self):
        return self.client.must("CreateCustomKeyStore", CustomKeyStoreName=self.next("store"),
                                CloudHsmClusterId=self.free_cluster(), KeyStorePassword=PASSWORD)["CustomKeyStoreId"]

    def connected(self):
        self.client.must("ConnectCustomKeyStore", CustomKeyStoreId=self.store)
        return self.store

    def new_alias(self):
        name = self.next("alias/a")
        self.client.must("CreateAlias", AliasName=name, TargetKeyId=self.key())
        return name

    def leaving_key(self):
        key = self.key()
        self.client.must("ScheduleKeyDeletion", KeyId=key)
        return key

    def new_grant(self):
        made = self.client.must("CreateGrant", KeyId=self.sym, GranteePrincipal=ALICE, Operations=["Decrypt"],
                                RetiringPrincipal=ALICE)
        return made["GrantId"], made["GrantToken"]

    def signature(self):
        return self.client.must("Sign", KeyId=self.ecc, Message=b"text", SigningAlgorithm="ECDSA_SHA_256")["Signature"]

    def mac(self):
        return self.client.must("GenerateMac", KeyId=self.hmac, Message=b"text", MacAlgorithm="HMAC_SHA_256")["Mac"]

    def request(self, operation):
        """Returns a valid request."""
        key = {"KeyId": self.sym}
        sign = {"KeyId": self.ecc, "Message": b"text", "SigningAlgorithm": "ECDSA_SHA_256"}
        mac = {"KeyId": self.hmac, "Message": b"text", "MacAlgorithm": "HMAC_SHA_256"}
        requests = {
            "CancelKeyDeletion": lambda: {"KeyId": self.leaving_key()},
            "ConnectCustomKeyStore": lambda: {"CustomKeyStoreId": self.store},
            "CreateAlias": lambda: {"AliasName": self.next("alias/a"), "TargetKeyId": self.key()},
            "CreateCustomKeyStore": lambda: {
                "CustomKeyStoreName": self.next("store"), "CloudHsmClusterId": self.free_cluster(),
                "KeyStorePassword": PASSWORD},
            "CreateGrant": lambda: {**key, "GranteePrincipal": ALICE, "Operations": ["Decrypt"]},
            "CreateKey": lambda: {},
            "Decapsulate": lambda: {
                "KeyId": self.ml_kem, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": b"x" * 768},
            "Decrypt": lambda: {"CiphertextBlob": self.ciphertext},
            "DeleteAlias": lambda: {"AliasName": self.new_alias()},
            "DeleteCustomKeyStore": lambda: {"CustomKeyStoreId": self.new_store()},
            "DeleteImportedKeyMaterial": lambda: {"KeyId": self.external},
            "DeriveSharedSecret": lambda: {
                "KeyId": self.agreement, "KeyAgreementAlgorithm": "ECDH", "PublicKey": self.peer},
            "DescribeCustomKeyStores": lambda: {},
            "DescribeKey": lambda: key,
            "DisableKey": lambda: {"KeyId": self.key()},
            "DisableKeyRotation": lambda: {"KeyId": self.rotating},
            "DisconnectCustomKeyStore": lambda: {"CustomKeyStoreId": self.connected()},
            "EnableKey": lambda: {"KeyId": self.rotating},
            "EnableKeyRotation": lambda: {"KeyId": self.rotating},
            "Encapsulate": lambda: {"KeyId": self.ml_kem, "EncapsulationAlgorithm": "ML_KEM"},
            "Encrypt": lambda: {**key, "Plaintext": b"four words"},
            "GenerateDataKey": lambda: {**key, "KeySpec": "AES_256"},
            "GenerateDataKeyPair": lambda: {**key, "KeyPairSpec": "ECC_NIST_P256"},
            "GenerateDataKeyPairWithoutPlaintext": lambda: {**key, "KeyPairSpec": "ECC_NIST_P256"},
            "GenerateDataKeyWithoutPlaintext": lambda: {**key, "KeySpec": "AES_256"},
            "GenerateMac": lambda: mac,
            "GenerateRandom": lambda: {"NumberOfBytes": 32},
            "GetKeyLastUsage": lambda: key,
            "GetKeyPolicy": lambda: key,
            "GetKeyRotationStatus": lambda: {"KeyId": self.rotating},
            "GetParametersForImport": lambda: {
                "KeyId": self.external, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"},
            "GetPublicKey": lambda: {"KeyId": self.ecc},
            "ImportKeyMaterial": lambda: {
                "KeyId": self.imported, "ImportToken": self.import_token, "EncryptedKeyMaterial": self.material,
                "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
            "ListAliases": lambda: {},
            "ListGrants": lambda: key,
            "ListKeyPolicies": lambda: key,
            "ListKeyRotations": lambda: key,
            "ListKeys": lambda: {},
            "ListResourceTags": lambda: key,
            "ListRetirableGrants": lambda: {"RetiringPrincipal": ALICE},
            "PutKeyPolicy": lambda: {**key, "Policy": self.policy},
            "ReEncrypt": lambda: {"CiphertextBlob": self.ciphertext, "DestinationKeyId": self.sym},
            "ReplicateKey": lambda: {**key, "ReplicaRegion": "eu-central-1"},
            "RetireGrant": lambda: {"GrantToken": self.new_grant()[1]},
            "RevokeGrant": lambda: {**key, "GrantId": self.new_grant()[0]},
            "RotateKeyOnDemand": lambda: {"KeyId": self.key()},
            "ScheduleKeyDeletion": lambda: {"KeyId": self.key()},
            "Sign": lambda: sign,
            "TagResource": lambda: {**key, "Tags": [{"TagKey": "team", "TagValue": "billing"}]},
            "UntagResource": lambda: {**key, "TagKeys": ["team"]},
            "UpdateAlias": lambda: {"AliasName": self.new_alias(), "TargetKeyId": self.key()},
            "UpdateCustomKeyStore": lambda: {"CustomKeyStoreId": self.new_store()},
            "UpdateKeyDescription": lambda: {**key, "Description": "text"},
            "UpdatePrimaryRegion": lambda: {**key, "PrimaryRegion": "eu-central-1"},
            "Verify": lambda: {**sign, "Signature": self.signature()},
            "VerifyMac": lambda: {**mac, "Mac": self.mac()},
        }
        return dict(requests[operation]())

    def sample(self, operation, member):
        """Returns a valid value of an optional member, and the expected outcome."""
        context = {"tenant": "42"}
        samples = {
            "BypassPolicyLockoutSafetyCheck": True, "CiphertextBlob": self.ciphertext,
            "CloudHsmClusterId": CLUSTERS[1], "Constraints": {"EncryptionContextSubset": context},
            "CustomKeyStoreId": self.store, "CustomKeyStoreName": "main", "CustomKeyStoreType": "AWS_CLOUDHSM",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "Description": "text", "DryRun": True,
            "DryRunModifiers": ["IGNORE_CIPHERTEXT"], "EncryptionContext": context,
            "DestinationEncryptionContext": context, "SourceEncryptionContext": context,
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
            "GrantId": "0" * 64, "GrantToken": self.token, "GrantTokens": [self.token], "GranteePrincipal": ALICE,
            "GranteeServicePrincipal": "s3.amazonaws.com", "ImportType": "EXISTING_KEY_MATERIAL",
            "IncludeKeyMaterial": "ALL_KEY_MATERIAL", "KeyId": self.sym, "KeyMaterialDescription": "from vault 1",
            "KeyMaterialId": "a" * 64, "KeySpec": "SYMMETRIC_DEFAULT", "KeyStorePassword": PASSWORD,
            "KeyUsage": "ENCRYPT_DECRYPT", "Limit": 1, "Marker": "x", "MessageType": "RAW", "MultiRegion": True,
            "Name": "a-grant", "NewCustomKeyStoreName": "renamed", "NumberOfBytes": 16, "Origin": "AWS_KMS",
            "PendingWindowInDays": 7, "Policy": self.policy, "PolicyName": "default",
            "Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"},
            "ResourceOwners": ["SELF"], "RetiringPrincipal": ALICE, "RetiringServicePrincipal": "s3.amazonaws.com",
            "RotationPeriodInDays": 90, "SourceKeyId": self.sym, "Tags": [{"TagKey": "team", "TagValue": "billing"}],
            "TrustAnchorCertificate": "certificate", "XksKeyId": "x1", "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "ValidTo": datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9),
            "XksProxyAuthenticationCredential": {"AccessKeyId": "A" * 20, "RawSecretAccessKey": "a" * 43},
            "XksProxyUriEndpoint": "https://xks.example", "XksProxyUriPath": "/kms/xks/v1",
            "XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0",
            "XksProxyVpcEndpointServiceOwner": "1" * 12,
        }
        value = samples.get(member)
        if member == "KeySpec" and operation != "CreateKey":
            value = "AES_128"
        if member == "CustomKeyStoreId" and operation == "GenerateRandom":
            value = self.connected()
        if member == "KeyId" and operation == "RetireGrant":
            return value, INVALID  # a token names its key
        others = {
            ("CreateKey", "CustomKeyStoreId"): INVALID,  # requires the origin AWS_CLOUDHSM
            ("CreateKey", "MultiRegion"): UNSUPPORTED, ("CreateGrant", "GranteeServicePrincipal"): UNSUPPORTED,
            ("CreateGrant", "RetiringServicePrincipal"): UNSUPPORTED,
            ("Decrypt", "EncryptionContext"): "InvalidCiphertextException",
            ("ReEncrypt", "SourceEncryptionContext"): "InvalidCiphertextException",
            ("DeleteImportedKeyMaterial", "KeyMaterialId"): "NotFoundException",
            ("GenerateDataKey", "NumberOfBytes"): INVALID, ("RetireGrant", "GrantId"): INVALID,
            ("GenerateDataKeyWithoutPlaintext", "NumberOfBytes"): INVALID,
            ("ImportKeyMaterial", "ValidTo"): INVALID,  # the material does not expire
            ("ImportKeyMaterial", "KeyMaterialId"): {"IncorrectKeyMaterialException", INVALID},
            ("ListGrants", "GranteeServicePrincipal"): OK, ("ListRetirableGrants", "RetiringServicePrincipal"): INVALID,
        }
        expected = OK
        if operation in LACKING_OPERATIONS or member in LACKING_MEMBERS:
            expected = UNSUPPORTED
        elif member == "DryRun":
            expected = "DryRunOperationException"
        elif member == "DryRunModifiers":
            expected = INVALID  # requires a dry run
        elif member == "Marker":
            expected = "InvalidMarkerException"
        return value, others.get((operation, member), expected)


def lower_camel(name):
    return name[0].lower() + name[1:]


def filled(shape, length):
    """Returns a text of a length that matches the pattern of a shape, if there is one."""
    pattern = shape.metadata.get("pattern")
    starts = ["", "alias/", "cluster-", "arn:aws:kms:local:000000000000:", "https://", "us-east-", "a.b.",
              "com.amazonaws.vpce.us-east-1.vpce-svc-"]
    for text in [start + digit * (length - len(start)) for start in starts for digit in "a0A"] + [
            "/" + "a" * (length - 12) + "/kms/xks/v1"]:
        if len(text) == length and (pattern is None or re.fullmatch(pattern, text)):
            return text
    return None


def bounds(shape):
    """Returns valid and invalid values at the bounds of a shape."""
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if shape.type_name == "integer":
        return [low, high], [low - 1, high + 1]
    if shape.type_name == "blob":
        return [b"x" * low, b"x" * high], [b"x" * (low - 1)] * (low > 0) + [b"x" * (high + 1)]
    if shape.type_name != "string" or high is None or shape.enum:
        return [], []
    valid = [text for text in (filled(shape, low), filled(shape, high)) if text is not None]
    invalid = ["a" * (low - 1)] * (low > 0) + [filled(shape, high + 1) or "a" * (high + 1)]
    if "pattern" in shape.metadata and not re.fullmatch(shape.metadata["pattern"], "\u0416" * max(low, 1)):
        invalid.append("\u0416" * max(low, 1))
    return valid, invalid


class Cases:
    """Generates the cases of an operation from its model."""

    def __init__(self, client, world):
        self.client = client
        self.world = world

    def run(self, operation):
        model = self.client.model.operation_model(operation)
        expected = UNSUPPORTED if operation in LACKING_OPERATIONS else OK
        self.client.case(operation, self.world.request(operation), expected, "a valid request")
        required = model.input_shape.required_members
        for name, shape in model.input_shape.members.items():
            if name in required:
                request = self.world.request(operation)
                del request[name]
                self.violated(operation, request, lower_camel(name), f"without {name}")
            else:
                value, expected = self.world.sample(operation, name)
                request = {**self.world.request(operation), name: value}
                self.client.case(operation, request, expected, f"with {name}")
            self.member(operation, [name], shape)

    def member(self, operation, path, shape):
        """Checks the bounds of a member at a path."""
        if shape.type_name == "structure" and path[0] in ("Tags", "Recipient", "Constraints",
                                                           "XksProxyAuthenticationCredential"):
            for name in shape.required_members:
                self.violated(operation, self.without(operation, path + [name]), self.text_of(path + [name]),
                              f"without {path + [name]}")
            for name, member in shape.members.items():
                self.member(operation, path + [name], member)
            return
        if shape.type_name == "list":
            high = shape.metadata.get("max")
            if high is not None:
                request = self.placed(operation, path, [self.element(path, shape.member)] * (high + 1))
                self.violated(operation, request, lower_camel(path[0]), f"{high + 1} elements in {path}")
            self.member(operation, path + [0], shape.member)
            return
        valid, invalid = bounds(shape)
        is_enum = shape.type_name == "string" and shape.enum
        if is_enum:
            invalid = ["BOGUS"]
        for value in valid:
            outcome, text = self.client.case(operation, self.placed(operation, path, value), self.any(), str(path))
            is_violation = outcome == INVALID and "validation error" in text
            narrower = {"PendingWindowInDays", "Limit"} & {path[0]}
            self.client.expect(not is_violation or narrower, operation, path, value, text)
        for value in invalid:
            request = self.placed(operation, path, value)
            text = self.violated(operation, request, self.text_of(path), f"{path} = {str(value)[:20]}")
            if is_enum:
                self.client.expect("satisfy enum value set: [" in text, operation, path, text)

    def any(self):
        """Returns every outcome that may follow from a value within its bounds."""
        return Anything()

    def element(self, path, shape):
        return shape.enum[0] if shape.enum else self.world.token  # lists of structures have no bounds

    def text_of(self, path):
        # The constraints of scalars in a list are reported for the list.
        path = path[:-1] if isinstance(path[-1], int) else path
        parts = [f"{part + 1}.member" if isinstance(part, int) else lower_camel(part) for part in path]
        return ".".join(parts)

    def placed(self, operation, path, value):
        """Returns a valid request with a value at a path."""
        request = self.world.request(operation)
        if path[0] == "NumberOfBytes":
            request.pop("KeySpec", None)
        if len(path) == 1:
            return {**request, path[0]: value}
        sample = self.world.sample(operation, path[0])[0] or request.get(path[0])
        sample = json_copy(request.get(path[0], sample))
        place = sample
        for part in path[1:-1]:
            place = place[part]
        if isinstance(path[-1], int):
            place[:] = [value]
        else:
            place[path[-1]] = value
        return {**request, path[0]: sample}

    def without(self, operation, path):
        request = self.placed(operation, path, None)
        place = request[path[0]]
        for part in path[1:-1]:
            place = place[part]
        del place[path[-1]]
        return request

    def violated(self, operation, request, path, what):
        """Makes a request that violates the constraint of one member."""
        outcome, text = self.client.case(operation, request, INVALID, what)
        if outcome == INVALID:
            start = re.match(r"\d+ validation errors? detected: Value .*at '", text, re.DOTALL)
            self.client.expect(start and f"at '{path}' failed to satisfy constraint: Member must " in text,
                               operation, what, f"has the text {text}")
        return text


class Anything(set):
    def __contains__(self, outcome):
        return outcome not in ("SerializationException", "KMSInternalException")


def json_copy(value):
    if isinstance(value, dict):
        return {name: json_copy(member) for name, member in value.items()}
    return [json_copy(member) for member in value] if isinstance(value, list) else value


def enumerations(client, world):
    """Makes a call for every value of every enumeration. Returns the members that it covered."""
    covered = set()

    def each(operation, member, outcomes, request):
        shape = client.model.operation_model(operation).input_shape.members[member]
        shape = shape.member if shape.type_name == "list" else shape
        covered.add((operation, member))
        for value in shape.enum:
            expected = UNSUPPORTED if value in LACKING_VALUES else outcomes.get(value, OK)
            client.case(operation, request(value), expected, f"{member} = {value}")

    base = world.request
    wrong = "InvalidKeyUsageException"
    usages = {"RSA": "SIGN_VERIFY", "ECC": "SIGN_VERIFY", "HMA": "GENERATE_VERIFY_MAC", "SYM": "ENCRYPT_DECRYPT"}
    usages.update(dict.fromkeys(["ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"], "ENCAPSULATE_DECAPSULATE"))
    # Without material, no RSA key has to be generated.
    origins = {"RSA": {"Origin": "EXTERNAL"}}
    for member in ("KeySpec", "CustomerMasterKeySpec"):
        each("CreateKey", member, {}, lambda spec: {
            member: spec, "KeyUsage": usages.get(spec, usages.get(spec[:3], "SIGN_VERIFY")), **origins.get(spec[:3], {})})
    specs = {"SIGN_VERIFY": "ECC_NIST_P256", "KEY_AGREEMENT": "ECC_NIST_P256", "GENERATE_VERIFY_MAC": "HMAC_256",
             "ENCAPSULATE_DECAPSULATE": "ML_KEM_768"}
    each("CreateKey", "KeyUsage", {}, lambda usage: {
        "KeyUsage": usage, "KeySpec": specs.get(usage, "SYMMETRIC_DEFAULT")})
    each("CreateKey", "Origin", {}, lambda origin: {
        "Origin": origin, **({"CustomKeyStoreId": world.connected()} if origin == "AWS_CLOUDHSM" else {})})

    def encrypted(algorithm):
        key = world.sym if algorithm == "SYMMETRIC_DEFAULT" else world.rsa_encrypt
        if algorithm in LACKING_VALUES:
            return key, b"x"
        sealed = client.must("Encrypt", KeyId=key, Plaintext=b"four words", EncryptionAlgorithm=algorithm)
        return key, sealed["CiphertextBlob"]

    def named(algorithm, key, blob, which=""):
        sealed_key, sealed = encrypted(algorithm)
        return {key: sealed_key, blob: sealed, f"{which}EncryptionAlgorithm": algorithm}

    each("Encrypt", "EncryptionAlgorithm", {}, lambda algorithm: {
        "KeyId": encrypted(algorithm)[0], "Plaintext": b"four words", "EncryptionAlgorithm": algorithm})
    each("Decrypt", "EncryptionAlgorithm", {}, lambda algorithm: named(algorithm, "KeyId", "CiphertextBlob"))
    each("ReEncrypt", "SourceEncryptionAlgorithm", {}, lambda algorithm: {
        "DestinationKeyId": world.sym, **named(algorithm, "SourceKeyId", "CiphertextBlob", "Source")})
    each("ReEncrypt", "DestinationEncryptionAlgorithm", {}, lambda algorithm: {
        "CiphertextBlob": world.ciphertext, "DestinationKeyId": encrypted(algorithm)[0],
        "DestinationEncryptionAlgorithm": algorithm})

    def signing(algorithm):
        if algorithm.startswith("RSA"):
            return {"KeyId": world.rsa_sign, "Message": b"text", "SigningAlgorithm": algorithm}
        if algorithm.startswith("ED25519"):
            kind = {"MessageType": "DIGEST"} if "PH" in algorithm else {}
            return {"KeyId": world.edwards, "Message": b"m" * 64, "SigningAlgorithm": algorithm, **kind}
        key = world.ml_dsa if algorithm.startswith("ML_DSA") else world.ecc
        return {"KeyId": key, "Message": b"text", "SigningAlgorithm": algorithm}

    def verifying(algorithm):
        request = signing(algorithm)
        outcome, answer = client.call("Sign", request)
        return {**request, "Signature": answer["Signature"] if outcome == OK else b"x"}

    others = {"ECDSA_SHA_384": wrong, "ECDSA_SHA_512": wrong}
    each("Sign", "SigningAlgorithm", others, signing)
    each("Verify", "SigningAlgorithm", others, verifying)
    forms = {"EXTERNAL_MU": INVALID}
    each("Sign", "MessageType", forms, lambda form: {**base("Sign"), "Message": b"m" * 32, "MessageType": form})
    each("Verify", "MessageType", {**forms, "DIGEST": "KMSInvalidSignatureException"}, lambda form: {
        **base("Verify"), "Message": b"m" * 32 if form == "DIGEST" else b"text", "MessageType": form})
    macs = {"HMAC_SHA_224": wrong, "HMAC_SHA_384": wrong, "HMAC_SHA_512": wrong}
    for operation in ("GenerateMac", "VerifyMac"):
        each(operation, "MacAlgorithm", macs, lambda mac: {**base(operation), "MacAlgorithm": mac})
    each("DeriveSharedSecret", "KeyAgreementAlgorithm", {}, lambda value: {
        **base("DeriveSharedSecret"), "KeyAgreementAlgorithm": value})
    for operation in ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"):
        each(operation, "KeySpec", {}, lambda spec: {**base(operation), "KeySpec": spec})
    # Large keys take long to generate; the disabled key shows that the value was understood.
    large = {"RSA_3072": "DisabledException", "RSA_4096": "DisabledException"}
    for operation in ("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"):
        each(operation, "KeyPairSpec", large, lambda spec: {
            "KeyPairSpec": spec, "KeyId": world.disabled if spec in large else world.sym})
    each("GetParametersForImport", "WrappingKeySpec", {
        "RSA_3072": "KMSInvalidStateException", "RSA_4096": "KMSInvalidStateException"}, lambda spec: {
            **base("GetParametersForImport"), "WrappingKeySpec": spec,
            "KeyId": world.leaving if spec in large else world.external})
    each("GetParametersForImport", "WrappingAlgorithm", {
        "RSA_AES_KEY_WRAP_SHA_1": {OK, UNSUPPORTED, INVALID}, "RSA_AES_KEY_WRAP_SHA_256": {OK, UNSUPPORTED, INVALID}},
        lambda algorithm: {**base("GetParametersForImport"), "WrappingAlgorithm": algorithm})
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9)
    each("ImportKeyMaterial", "ExpirationModel", {}, lambda model: {
        **base("ImportKeyMaterial"), "ExpirationModel": model,
        **({"ValidTo": later} if model == "KEY_MATERIAL_EXPIRES" else {})})
    # A repeated request is answered like the first, whatever its type.
    each("ImportKeyMaterial", "ImportType", {}, lambda value: {**base("ImportKeyMaterial"), "ImportType": value})
    each("ListKeyRotations", "IncludeKeyMaterial", {}, lambda value: {
        **base("ListKeyRotations"), "IncludeKeyMaterial": value})
    each("ListKeys", "ResourceOwners", {}, lambda value: {"ResourceOwners": [value]})
    foreign = ("Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret", "Encapsulate",
               "Decapsulate")
    each("CreateGrant", "Operations", dict.fromkeys(foreign, INVALID), lambda value: {
        **base("CreateGrant"), "Operations": [value]})
    each("CreateCustomKeyStore", "CustomKeyStoreType", {}, lambda value: {
        **base("CreateCustomKeyStore"), "CustomKeyStoreType": value})
    for operation in ("CreateCustomKeyStore", "UpdateCustomKeyStore"):
        each(operation, "XksProxyConnectivity", dict.fromkeys(["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"], UNSUPPORTED),
             lambda value: {**base(operation), "XksProxyConnectivity": value})
    for operation in ("Encapsulate", "Decapsulate"):
        each(operation, "EncapsulationAlgorithm", {}, lambda value: {
            **base(operation), "EncapsulationAlgorithm": value})
    for operation in ("Decrypt", "ReEncrypt"):
        each(operation, "DryRunModifiers", {"IGNORE_CIPHERTEXT": {UNSUPPORTED, "DryRunOperationException"}},
             lambda value: {**base(operation), "DryRun": True, "DryRunModifiers": [value]})
    return covered


def check_enumerations(client, covered):
    for operation in client.model.operation_names:
        for name, shape in client.model.operation_model(operation).input_shape.members.items():
            shape = shape.member if shape.type_name == "list" else shape
            if shape.type_name == "string" and shape.enum:
                client.expect((operation, name) in covered, operation, name, "is an enumeration without cases")


def scenarios(client, world):
    """Produces the members of answers that need a certain state."""
    must = client.must
    must("DescribeKey", KeyId=world.leaving)
    must("TagResource", KeyId=world.sym, Tags=[{"TagKey": f"k{i}", "TagValue": "v"} for i in range(5)])
    must("EnableKeyRotation", KeyId=world.rotating, RotationPeriodInDays=90)
    status = must("GetKeyRotationStatus", KeyId=world.rotating)
    client.expect(status["RotationPeriodInDays"] == 90 and status["KeyRotationEnabled"], "GetKeyRotationStatus", status)
    for _ in range(3):
        must("RotateKeyOnDemand", KeyId=world.rotating)
    for key in (world.rotating, world.imported):
        must("ListKeyRotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    later = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=9)
    must("ImportKeyMaterial", KeyId=world.imported, ImportToken=world.import_token, ValidTo=later,
         EncryptedKeyMaterial=world.material, KeyMaterialDescription="from vault 1")
    metadata = must("DescribeKey", KeyId=world.imported)["KeyMetadata"]
    client.expect(metadata["ValidTo"] == later, "ValidTo", metadata, later)
    must("ListKeyRotations", KeyId=world.imported, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    deleted = must("DeleteImportedKeyMaterial", KeyId=world.imported)
    client.expect("KeyMaterialId" in deleted, "DeleteImportedKeyMaterial", deleted)
    must("CreateGrant", KeyId=world.sym, GranteePrincipal=ALICE, Operations=["Decrypt"], Name="exact",
         RetiringPrincipal=ALICE,
         Constraints={"EncryptionContextEquals": {"a": "1"}, "EncryptionContextSubset": {"a": "1"}})
    must("ListRetirableGrants", RetiringPrincipal=ALICE)
    for key in (world.rsa_encrypt, world.agreement, world.hmac, world.ecc, world.ml_kem):
        must("DescribeKey", KeyId=key)
    for key in (world.rsa_encrypt, world.agreement, world.ml_kem):
        must("GetPublicKey", KeyId=key)
    hsm = must("CreateKey", Origin="AWS_CLOUDHSM", CustomKeyStoreId=world.connected())["KeyMetadata"]
    client.expect(hsm["CloudHsmClusterId"] == CLUSTERS[0], "CloudHsmClusterId", hsm)
    must("GenerateRandom", NumberOfBytes=8, CustomKeyStoreId=world.store)
    store = must("CreateCustomKeyStore", CustomKeyStoreName="wrong", CloudHsmClusterId=world.free_cluster(),
                 KeyStorePassword="wrong password")["CustomKeyStoreId"]
    client.case("ConnectCustomKeyStore", {"CustomKeyStoreId": store}, "CustomKeyStoreInvalidStateException",
                "a wrong password")
    found = must("DescribeCustomKeyStores", CustomKeyStoreId=store)["CustomKeyStores"]
    client.expect(found[0].get("ConnectionErrorCode") == "INVALID_CREDENTIALS", "ConnectionErrorCode", found)
    opened = must("Decrypt", CiphertextBlob=world.ciphertext)
    client.expect(opened["Plaintext"] == b"four words", "Decrypt", opened)
    sent = must("Encapsulate", KeyId=world.ml_kem, EncapsulationAlgorithm="ML_KEM")
    received = must("Decapsulate", KeyId=world.ml_kem, EncapsulationAlgorithm="ML_KEM",
                    SharedSecretCiphertextBlob=sent["SharedSecretCiphertextBlob"])
    client.expect(received["SharedSecret"] == sent["SharedSecret"], "Decapsulate", received)
    wrong = {"KeyId": world.ml_kem, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": b"x"}
    client.case("Decapsulate", wrong, "InvalidCiphertextException", "a ciphertext of another length")
    for form in ({"Message": b"text" * 1024}, {"Message": b"m" * 64, "MessageType": "EXTERNAL_MU"}):
        request = {"KeyId": world.ml_dsa, "SigningAlgorithm": "ML_DSA_SHAKE_256", **form}
        must("Verify", **request, Signature=must("Sign", **request)["Signature"])
    for form in ({"Message": b"m" * 63, "MessageType": "EXTERNAL_MU"}, {"Message": b"m" * 64, "MessageType": "DIGEST"}):
        request = {"KeyId": world.ml_dsa, "SigningAlgorithm": "ML_DSA_SHAKE_256", **form}
        client.case("Sign", request, "ValidationException", "another form of ML-DSA")


def check_answers(client):
    """Checks that every member of every answer was seen."""
    def walk(shape):
        if shape.type_name == "list":
            walk(shape.member)
        elif shape.type_name == "structure":
            for name, member in shape.members.items():
                if name in LACKING_ANSWERS or f"{shape.name}.{name}" == "ListKeyPoliciesResponse.NextMarker":
                    client.expect(f"{shape.name}.{name}" not in client.seen, shape.name, name, "is listed as lacking")
                else:
                    client.expect(f"{shape.name}.{name}" in client.seen, shape.name, name, "was in no answer")
                    walk(member)

    for operation in client.model.operation_names:
        shape = client.model.operation_model(operation).output_shape
        if shape is not None and operation not in LACKING_OPERATIONS:
            walk(shape)


def pages(client, world):
    """Reads every list with the paginator of botocore, in small pages and in those of the default size."""
    lists = {
        "ListKeys": ({}, "Keys", 50), "ListAliases": ({}, "Aliases", 7),
        "ListGrants": ({"KeyId": world.sym}, "Grants", 7),
        "ListRetirableGrants": ({"RetiringPrincipal": ALICE}, "Grants", 2),
        "ListKeyPolicies": ({"KeyId": world.sym}, "PolicyNames", 1),
        "ListKeyRotations": ({"KeyId": world.rotating}, "Rotations", 1),
        "ListResourceTags": ({"KeyId": world.sym}, "Tags", 2), "DescribeCustomKeyStores": ({}, "CustomKeyStores", 1),
    }
    for operation, (params, member, size) in lists.items():
        shape = client.model.operation_model(operation).output_shape

        def read(config, operation=operation, params=params, member=member, shape=shape):
            found = []
            paginator = client.kms.get_paginator(client.methods[operation])
            for page in paginator.paginate(PaginationConfig=config, **params):
                found.append(page[member])
                client.check_members(operation, shape, json.loads(client.transport.last))
            client.cases += len(found)
            return found

        whole, small = read({}), read({"PageSize": size})
        client.expect(sum(whole, []) == sum(small, []), operation, "differs between page sizes")
        client.expect(all(len(page) == size for page in small[:-1]), operation, "has pages of another size")
        client.expect(sum(whole, []), operation, "is empty")


def main():
    client = Client()
    world = World(client)
    cases = Cases(client, world)
    for operation in client.model.operation_names:
        cases.run(operation)
    check_enumerations(client, enumerations(client, world))
    scenarios(client, world)
    pages(client, world)
    check_answers(client)
    print(json.dumps({"done": botocore.__version__, "cases": client.cases, "problems": client.problems,
                      "calls": client.transport.calls}), flush=True)


main()
