"""Writes fuzzing seeds. Those of the message and policy targets come from the test data, those of the key targets from
fuzz/keys, and the others from this script.

Run after adding vectors, with a python that has `cryptography`: python3 fuzz/make_seeds.py

The seeds of the other targets were found by fuzzing and minimized with `cargo fuzz cmin`.
"""

import base64
import hashlib
import json
import pathlib
import struct
import subprocess

from cryptography.hazmat.primitives import serialization

ROOT = pathlib.Path(__file__).resolve().parent
VECTORS = ROOT.parent / "tests" / "vectors" / "message"

for vector in sorted(VECTORS.glob("*.txt")):
    lines = vector.read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    message = bytes.fromhex(fields["ciphertext"]) if "ciphertext" in fields else b""
    # For the open target, a leading zero byte means that the message follows unchanged.
    for target, prefix in [("message_header", b""), ("message_open", b"\0")]:
        folder = ROOT / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{vector.stem}.seed").write_bytes(prefix + message)

# The kinds in the order of `KeyPairKind::ALL`. A seed starts with a byte for the kind and one for
# the form: 0 is a public key.
KINDS = {"rsa_2048": 0, "p256": 3, "p384": 4, "p521": 5, "secp256k1": 6, "ed25519": 7}
folder = ROOT / "corpus" / "key_import"
folder.mkdir(parents=True, exist_ok=True)
for name, kind in KINDS.items():
    private = (ROOT / "keys" / f"{name}.der").read_bytes()
    public = subprocess.run(
        ["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True
    ).stdout
    (folder / f"{name}_private.seed").write_bytes(bytes([kind, 1]) + private)
    (folder / f"{name}_public.seed").write_bytes(bytes([kind, 0]) + public)

# OpenSSL before 3.5 does not know these kinds, which `cryptography` brings along.
for name, kind in {"ml_dsa_44": 8, "ml_kem_768": 12}.items():
    private = (ROOT / "keys" / f"{name}.der").read_bytes()
    key = serialization.load_der_private_key(private, None)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}_private.seed").write_bytes(bytes([kind, 1]) + private)
    (folder / f"{name}_public.seed").write_bytes(bytes([kind, 0]) + public)
    # The seed without its tag, and in the form of an expanded key.
    seed = private[-32:] if kind == 8 else private[-64:]
    head = bytes([0x30, len(private) - 2]) + private[2:-2 - len(seed)]
    for form, tag in {"untagged": 0x02, "expanded": 0x04}.items():
        (folder / f"{name}_{form}.seed").write_bytes(bytes([kind, 1]) + head + bytes([tag, len(seed)]) + seed)
    (folder / f"{name}_highest.seed").write_bytes(
        bytes([kind, 0]) + public[:-len(key.public_key().public_bytes_raw())]
        + b"\xff" * len(key.public_key().public_bytes_raw()))

# Ciphertexts: four bytes select the variant, and each element of a list follows an odd byte.
folder = ROOT / "corpus" / "decapsulate"
folder.mkdir(parents=True, exist_ok=True)
BYTES, STRETCHED, EDITED = b"\0\0\0\0", b"\0\0\0\x60", b"\0\0\0\xc0"
listed = lambda values: b"".join(bytes([1, value]) for value in values)
for name, seed in {
    "zeros": BYTES + listed(bytes(1088)),
    "ones": BYTES + listed(b"\xff" * 1088),
    "short": BYTES + listed(bytes(1087)),
    "long": BYTES + listed(bytes(1089)),
    "of_ml_kem_1024": BYTES + listed(bytes(1568)),
    "empty": BYTES,
    "stretched": STRETCHED + listed(bytes(range(256))),
    "unedited": EDITED,
    "edited": EDITED + bytes([1, 0, 0, 0, 0, 7, 0, 1] * 4),
}.items():
    (folder / f"{name}.seed").write_bytes(seed)

# References to keys in tokens: version, kind, key pair, CKA_ID, CKA_LABEL, fingerprint.
folder = ROOT / "corpus" / "key_reference"
folder.mkdir(parents=True, exist_ok=True)
PAIR_CODES = {"rsa_2048": 1, "p256": 4, "p384": 5, "p521": 6, "secp256k1": 7, "ed25519": 8}


def prefixed(value):
    return struct.pack(">H", len(value)) + value


def reference(kind, pair, fingerprint, value, key_id=bytes(range(32)), label=b"a key"):
    return bytes([1, kind, pair]) + prefixed(key_id) + prefixed(label) + bytes([fingerprint]) + prefixed(value)


def public_of(name):
    command = ["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"]
    return subprocess.run(command, input=(ROOT / "keys" / f"{name}.der").read_bytes(), capture_output=True, check=True).stdout


references = {
    "aes": reference(1, 0, 1, bytes(range(60))),
    "wrapping": reference(2, 0, 0, b""),
    "wrapping_with_fingerprint": reference(2, 0, 0, b"x"),
    "aes_without_canary": reference(1, 0, 0, b""),
    "no_id": reference(1, 0, 1, bytes(60), key_id=b""),
    "long_id": reference(1, 0, 1, bytes(60), key_id=bytes(33)),
    "long_label": reference(1, 0, 1, bytes(60), label=b"x" * 256),
    "label_of_no_text": reference(1, 0, 1, bytes(60), label=b"\xff"),
    "long_fingerprint": reference(1, 0, 1, bytes(1025)),
    "longer": reference(1, 0, 1, bytes(60)) + b"\0",
    "decryption_rsa_2048": reference(4, 1, 2, public_of("rsa_2048")),
}
references |= {f"signing_{name}": reference(3, code, 2, public_of(name)) for name, code in PAIR_CODES.items()}
for name, content in references.items():
    (folder / f"{name}.seed").write_bytes(content)

# Objects: lengths of header and frame, a stored size, a range, the binding, modifications, the plaintext
# with a byte before each, and another range.
folder = ROOT / "corpus" / "object"
folder.mkdir(parents=True, exist_ok=True)


def object_case(header, frame, stored, start, end, binding, edits, size, first, last):
    plaintext = b"".join(bytes([1, index % 256]) for index in range(size)) + b"\0"
    return struct.pack("<IIQQQB", header, frame, stored, start, end, binding) + edits + plaintext + bytes([first, last])


objects = {
    "empty": object_case(300, 32, 340, 0, 0, 0, b"\0", 0, 0, 0),
    "one_frame": object_case(300, 32, 372, 0, 32, 1, b"\0", 32, 0, 32),
    "empty_final_frame": object_case(300, 32, 404, 31, 32, 2, b"\0", 33, 31, 33),
    "impossible_size": object_case(300, 32, 373, 0, 1, 0, b"\0", 64, 32, 64),
    "several_frames": object_case(2048, 65536, 2048 + 40 + 4 * 65568, 65535, 131073, 0, b"\0", 100, 20, 90),
    "largest": object_case(65536, 1 << 24, (1 << 64) - 1, 0, (1 << 64) - 1, 1, b"\0", 5, 1, 4),
    "most_frames": object_case(256, 16, 256 + 40 + 48 * ((1 << 32) - 2), 1 << 35, (1 << 35) + 1, 0, b"\0", 1, 0, 255),
    "short_header": object_case(255, 16, 400, 0, 1, 0, b"\0", 1, 0, 1),
}
for kind in range(8):
    objects[f"edit_{kind}"] = object_case(300, 32, 500, 0, 1, kind, bytes([1, kind * 32, 17, 0, 0, 0, 1, 9, 0, 0, 0, 0]), 80, 10, 70)
for name, content in objects.items():
    (folder / f"{name}.seed").write_bytes(content)

# The documents of the tables. After a zero byte, each is followed by the encryption context.
folder = ROOT / "corpus" / "policy"
folder.mkdir(parents=True, exist_ok=True)
DECISIONS = ROOT.parent / "tests" / "data" / "policy_decisions"
ROOT_ARN = "arn:aws:iam::111122223333:root"
NAMES = {"@alice": "arn:aws:iam::111122223333:user/alice", "@root": ROOT_ARN, "@ops": "arn:aws:iam::111122223333:role/ops"}


def document(statement):
    for name, full in NAMES.items():
        statement = statement.replace(name, full)
    return '{"Version": "2012-10-17", "Statement": [%s]}' % statement


for line in (DECISIONS / "documents.txt").read_text().splitlines():
    if line and not line.startswith("#"):
        head, text = line.split(" |", 1)
        text = text.strip()
        text = document(text.removeprefix("statement ")) if text.startswith("statement ") else text
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        (folder / f"document_{name}.seed").write_bytes(text.encode() + b"\0tenant\0North")
for table in ["condition_operators", "condition_keys", "actions_and_resources"]:
    for line in (DECISIONS / f"{table}.txt").read_text().splitlines():
        if line.startswith(("key {", "identity {")):
            statement = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"} | json.loads(line.split(" ", 1)[1])
            text = document(json.dumps({name: value for name, value in statement.items() if value is not None}))
            name = hashlib.sha256(text.encode()).hexdigest()[:8]
            (folder / f"{table}_{name}.seed").write_bytes(text.encode() + b"\0tenant\0North\0a\0" + b"1")

# Audit trails: edits of the files of an intact trail, in the encoding that `arbitrary` reads. An
# edit consists of the file and the kind of damage (a number for the variant, then the fields). In a
# list, a byte before each element announces it.
folder = ROOT / "corpus" / "audit_verify"
EDITS = {"flip": "HB", "insert": "HB", "remove": "HB", "cut": "H", "append": None, "swap": "HHB", "repeat": "HB"}
ZERO = "0" * 64
CHAIN = '{"chain":"0123456789abcdef",'
HEADER = CHAIN + '"file":{"index":%d,"first":%d,"previous":"' + ZERO + '"}}\n'
EVENT = CHAIN + '"sequence":%d,"event":{"outcome":"%s","change":"' + "ab" * 16 + '"},"mac":"' + ZERO + '"}\n'
RECONCILED = CHAIN + '"sequence":3,"reconciled":{"change":"' + "ab" * 16 + '","result":"committed"},"mac":"' + ZERO + '"}\n'
CHECKPOINT = CHAIN + '"sequence":4,"checkpoint":{"sequence":2,"signature":"0011"},"mac":"' + ZERO + '"}\n'


def variant(number, count):
    return struct.pack("<I", -(-(number << 32) // count))


def listed(items):
    return b"".join(b"\1" + item for item in items)


def edit(name, *fields):
    number = variant(list(EDITS).index(name), len(EDITS))
    if name == "append":
        return number + listed(bytes([byte]) for byte in fields[0]) + b"\0"
    return number + struct.pack("<" + EDITS[name], *fields)


def damage(file, name, fields=b""):
    return bytes([file]) + variant(["edit", "replace", "delete", "swap"].index(name), 4) + fields


TRAILS = {
    "file_whole": (HEADER % (1, 1) + EVENT % (1, "intent") + EVENT % (2, "success") + RECONCILED + CHECKPOINT),
    "file_second": (HEADER % (2, 3) + RECONCILED + CHECKPOINT),
    "file_two_headers": (HEADER % (1, 1) + EVENT % (1, "success") + HEADER % (2, 2) + EVENT % (2, "success")),
    "file_out_of_order": (HEADER % (1, 1) + EVENT % (2, "success") + EVENT % (1, "intent")),
    "file_torn": (HEADER % (1, 1) + (EVENT % (1, "intent"))[:-9]),
    "file_without_header": CHECKPOINT,
}
DAMAGE = {
    "edit_flip_header": [edit("flip", 12, 1)],
    "edit_flip_record": [edit("flip", 900, 4)],
    "edit_cut": [edit("cut", 700)],
    "edit_cut_to_nothing": [edit("cut", 0)],
    "edit_remove": [edit("remove", 300, 255)],
    "edit_swap": [edit("swap", 200, 1200, 200)],
    "edit_repeat": [edit("repeat", 160, 255)],
    "edit_torn_tail": [edit("append", b'{"chain":"half')],
    "edit_checkpoint_appended": [edit("append", CHECKPOINT.encode())],
    "edit_twice": [edit("remove", 160, 1), edit("insert", 160, 123)],
}
FILES = {
    "first_deleted": [damage(0, "delete")],
    "second_deleted": [damage(1, "delete")],
    "last_deleted": [damage(2, "delete")],
    "two_swapped": [damage(0, "swap", bytes([1]))],
    "edited_and_swapped": [damage(1, "edit", edit("flip", 900, 4)), damage(1, "swap", bytes([2]))],
}
seeds = {name: [damage(0, "replace", listed(bytes([byte]) for byte in text.encode()) + b"\0")] for name, text in TRAILS.items()}
seeds |= {name: [damage(1, "edit", edit) for edit in edits] for name, edits in DAMAGE.items()} | FILES
for name, damages in seeds.items():
    (folder / f"{name}.seed").write_bytes(listed(damages))


# Records with wrapped root keys, up to the checksum: the format, the current version, its holder,
# and the wrapped keys.
def prefixed(part):
    return struct.pack(">H", len(part)) + part


def root_record(current, holder, wrappings):
    head = struct.pack(">BI", 1, current) + prefixed(holder) + struct.pack(">H", len(wrappings))
    return head + b"".join(struct.pack(">I", version) + prefixed(name) + prefixed(key) for version, name, key in wrappings)


folder = ROOT / "corpus" / "root_record"
folder.mkdir(parents=True, exist_ok=True)
for name, record in {
    "one_version": root_record(1, b"file", [(1, b"file", bytes(72))]),
    "a_rotation": root_record(2, b"file", [(1, b"file", bytes(72)), (2, b"file", bytes(72))]),
    "a_move": root_record(1, b"passphrase", [(1, b"file", bytes(72)), (1, b"passphrase", bytes(120))]),
    "no_wrapping": root_record(1, b"file", []),
    "another_format": b"\2" + root_record(1, b"file", [(1, b"file", bytes(72))])[1:],
}.items():
    (folder / f"{name}.seed").write_bytes(record)

# Bodies of requests: one with members of every type, one for each kind of violation, and one for each property of
# JSON that the parser judges.
folder = ROOT / "corpus" / "wire_json"
folder.mkdir(parents=True, exist_ok=True)
bodies = {
    "valid": json.dumps({
        "KeyId": "alias/a", "Plaintext": "AAEC", "EncryptionContext": {"a": "b"}, "GrantTokens": ["t"], "DryRun": False,
        "Limit": 10, "ValidTo": 1.7e9, "Tags": [{"TagKey": "k", "TagValue": ""}], "Operations": ["Sign"],
        "Constraints": {"SourceArn": "arn:aws:s3:::bucket/folder"}, "Unknown": None,
    }),
    "violations": json.dumps({
        "KeyId": "", "Plaintext": "", "Limit": 0, "AliasName": "a b", "KeySpec": "AES", "Tags": [None, {"TagKey": ""}],
        "Operations": ["Steal", None], "GrantTokens": ["t"] * 11, "NumberOfBytes": 1e300, "Marker": "\u0100\n",
        "XksProxyUriPath": "/kms/xks/v123", "ReplicaRegion": "us--1", "EncryptionContext": {"a": None},
    }),
    "types": json.dumps({"KeyId": 1, "Plaintext": "A", "EncryptionContext": [], "GrantTokens": {}, "DryRun": "true"}),
    "escapes": r'{"KeyI\u0064": "\ud83d\udd11\u0000\/\"\\", "Marker": "\ud800"}',
    "same_name": r'{"KeyId": "a", "KeyI\u0064": "b", "Tags": [{"a": 1, "a": 2}]}',
    "numbers": '{"a": [0, -0, 1e2, 1.5, 18446744073709551615, 18446744073709551616, -9223372036854775808, 1e400]}',
    "private_number": '{"Limit": {"$serde_json::private::Number": "12"}}',
    "deep": '{"a": ' + "[" * 33 + "]" * 33 + "}",
    "trailing": '{} {"KeyId": "a"}',
    "list": "[]",
}
for name, body in bodies.items():
    (folder / f"{name}.seed").write_bytes(body.encode())

# Calls in the protocol of AWS KMS: the name of the operation, a line break, and the body.
KEY = {"KeyId": "alias/sym"}
CALLS = {
    "CreateKey": {"Description": "a", "Tags": [{"TagKey": "a", "TagValue": ""}], "KeySpec": "HMAC_256",
                  "KeyUsage": "GENERATE_VERIFY_MAC", "Policy": "{}", "MultiRegion": False, "Origin": "EXTERNAL"},
    "DescribeKey": {**KEY, "GrantTokens": []},
    "Encrypt": {**KEY, "Plaintext": "NDcxMQ==", "EncryptionContext": {"a": "b"}, "DryRun": False},
    "Decrypt": {"CiphertextBlob": "NDcxMQ==", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "Recipient": {
        "AttestationDocument": "eA=="}},
    "ReEncrypt": {"CiphertextBlob": "NDcxMQ==", "DestinationKeyId": "alias/sym", "SourceEncryptionContext": {}},
    "GenerateDataKey": {**KEY, "NumberOfBytes": 32},
    "GenerateDataKeyPair": {**KEY, "KeyPairSpec": "ECC_NIST_P256"},
    "GenerateRandom": {"NumberOfBytes": 32},
    "Sign": {"KeyId": "alias/ecc", "Message": "NDcxMQ==", "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "RAW"},
    "Verify": {"KeyId": "alias/ecc", "Message": "NDcxMQ==", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": "MAA="},
    "GenerateMac": {"KeyId": "alias/mac", "Message": "NDcxMQ==", "MacAlgorithm": "HMAC_SHA_256"},
    "GetPublicKey": {"KeyId": "alias/ecc"},
    "CreateAlias": {"AliasName": "alias/a", "TargetKeyId": "alias/sym"},
    "CreateGrant": {**KEY, "GranteePrincipal": "arn:aws:iam::000000000000:user/a", "Operations": ["Decrypt"],
                    "Constraints": {"EncryptionContextSubset": {"a": "b"}}, "Name": "a"},
    "ListKeys": {"Limit": 1, "Marker": "m2.AP8", "ResourceOwners": ["SELF"]},
    "ListAliases": {**KEY, "Limit": 101},
    "ListKeyRotations": {**KEY, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"},
    "ImportKeyMaterial": {**KEY, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ValidTo": 1.9e9 + 0.5,
                          "ExpirationModel": "KEY_MATERIAL_EXPIRES"},
    "CreateCustomKeyStore": {"CustomKeyStoreName": "a", "CloudHsmClusterId": "cluster-2a34b5cdefg",
                             "KeyStorePassword": "kmsPswd1", "XksProxyAuthenticationCredential": {"AccessKeyId": "A"}},
    "ReplicateKey": {**KEY, "ReplicaRegion": "eu-central-1"},
    "ScheduleKeyDeletion": {**KEY, "PendingWindowInDays": 7},
    "UntagResource": {**KEY, "TagKeys": ["a"]},
    "PutKeyPolicy": {**KEY, "Policy": "{}", "PolicyName": "default", "BypassPolicyLockoutSafetyCheck": True},
    "MakeCoffee": {},
}
folder = ROOT / "corpus" / "wire_call"
folder.mkdir(parents=True, exist_ok=True)
for name, request in CALLS.items():
    (folder / f"{name}.seed").write_bytes(f"{name}\n{json.dumps(request)}".encode())
for name, body in {"truncated": b'{"KeyId": "a', "escapes": b'{"KeyId": "\\ud83d\\udd11\\u0000"}', "twice": b'{"a": 1, "a": 2}',
                   "deep": b"[" * 40 + b"]" * 40, "no_text": b"\xff"}.items():
    (folder / f"{name}.seed").write_bytes(b"DescribeKey\n" + body)

# Records of the parameter store, and names. A byte before each decides what it is.
EXPIRATION = b'{"Attributes":{"Timestamp":"2030-01-02T03:04:05.000Z"},"Type":"Expiration","Version":"1.0"}'
NOTICE = b'{"Attributes":{"Before":"15","Unit":"Days"},"Type":"ExpirationNotification","Version":"1.0"}'
PARAMETER_ARN = "arn:aws:ssm:local:000000000000:parameter"


def parameter_version(number, policies=b"", tier=1, key=b"", value=b"value"):
    texts = [b"arn:aws:iam::000000000000:root", "größe".encode(), b"[a-z]+", policies]
    fields = b"".join(map(prefixed, texts)) + bytes([tier]) + prefixed(key) + prefixed(key)
    return struct.pack(">QQq", number, 7, 1_700_000_000_000) + fields + struct.pack(">I", len(value)) + value


def parameter(name, kind, oldest, labels, tags, version):
    listed = [prefixed(label) + struct.pack(">Q", number) for label, number in labels]
    pairs = [prefixed(key) + prefixed(value) for key, value in tags]
    counted = b"".join(struct.pack(">H", len(items)) + b"".join(items) for items in (listed, pairs))
    return b"\1" + prefixed(name) + bytes([kind]) + struct.pack(">Q", oldest) + counted + version


parameters = {
    "parameter": b"\0" + parameter(b"/shop/url", 1, 1, [], [], parameter_version(1)),
    "labels_and_tags": b"\0" + parameter(
        b"url", 2, 2, [(b"live", 2), (b"test", 4)], [(b"stage", b""), (b"team", b"shop")], parameter_version(4)),
    "order_of_labels": b"\0" + parameter(b"url", 2, 2, [(b"b", 2), (b"a", 2)], [], parameter_version(4)),
    "secret": b"\0" + parameter(b"/a", 3, 1, [], [], parameter_version(1, key=b"alias/aws/ssm", value=bytes(100))),
    "hundred_versions": b"\0" + parameter(b"/a", 1, 3, [(b"a", 3)], [], parameter_version(102)),
    "too_many_versions": b"\0" + parameter(b"/a", 1, 2, [], [], parameter_version(102)),
    "policies": b"\0" + parameter(
        b"/a", 1, 1, [], [], parameter_version(1, b"[" + EXPIRATION + b"," + NOTICE + b"]", tier=2)),
    "other_form_of_policies": b"\0" + parameter(b"/a", 1, 1, [], [], parameter_version(1, b"[ ]")),
    "version": b"\1\1" + parameter_version(9),
    "layout": b"\1\2" + parameter_version(9),
    "count": b"\2\1" + struct.pack(">II", 3, 9),
}
names = {
    "one_level": "url", "start_of_an_arn": "arn", "slash": "/url", "levels": "/shop/db/password", "spaces": "  /shop/url ", "deepest": "/a" * 15,
    "too_deep": "/a" * 16, "reserved": "/AWS/x", "empty_level": "/a//b", "end": "/a/", "root": "/", "label": "/a:live",
    "version_of_name": "a:18446744073709551616", "arn": f"{PARAMETER_ARN}/shop/url", "arn_of_one_level": f"{PARAMETER_ARN}/url",
    "arn_with_label": f"{PARAMETER_ARN}/shop/url:live", "other_account": PARAMETER_ARN.replace("000", "111") + "/a",
    "no_ascii": "/größe", "control": "/a\0b", "longest": "a" * 970, "too_long": "a" * 2049, "dots": "/../.a/-._",
}
parameters |= {f"name_{name}": b"\xff" + text.encode() for name, text in names.items()}
folder = ROOT / "corpus" / "parameters"
folder.mkdir(parents=True, exist_ok=True)
for name, content in parameters.items():
    (folder / f"{name}.seed").write_bytes(content)

# Metadata of objects: names and values with tabs, and after a zero byte an instruction file.
folder = ROOT / "corpus" / "s3_metadata"
folder.mkdir(parents=True, exist_ok=True)
CONTENT_3 = {"x-amz-c": "115", "x-amz-i": "A" * 36 + "A" + "A==", "x-amz-d": "B" * 36 + "A" + "A=="}
KEY_3 = {"x-amz-3": "QUFB", "x-amz-w": "12", "x-amz-t": json.dumps({"aws:x-amz-cek-alg": "115", "a": "\u00e9"})}
VERSION_2 = {
    "x-amz-key-v2": "QUFB", "x-amz-wrap-alg": "kms+context", "x-amz-iv": "A" * 16, "x-amz-tag-len": "128",
    "x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-matdesc": json.dumps({"aws:x-amz-cek-alg": "AES/GCM/NoPadding"}),
}
CBC = {"x-amz-key": "QUFB", "x-amz-wrap-alg": "kms", "x-amz-iv": "A" * 22 + "==", "x-amz-matdesc": '{"kms_cmk_id": "1"}'}
ENCODED = "=?UTF-8?B?" + base64.b64encode("{\"\u00c3\u00a9\": \"b\"}".encode()).decode() + "?="
QUOTED = "=?UTF-8?Q?{=22=C3=83=C2?= =?UTF-8?Q?=A9=22:_=22b=22}?="
for name, metadata, file in [
    ("version_3", CONTENT_3 | KEY_3, None),
    ("version_3_aes", CONTENT_3 | {"x-amz-3": "QUFB", "x-amz-w": "02", "x-amz-m": "{}"}, None),
    ("version_3_rsa", CONTENT_3 | {"x-amz-3": "QUFB", "x-amz-w": "22"}, None),
    ("version_3_file", CONTENT_3, KEY_3),
    ("version_2", VERSION_2, None),
    ("version_2_file", {}, VERSION_2),
    ("version_2_kms", VERSION_2 | {"x-amz-wrap-alg": "kms", "x-amz-matdesc": "{}"}, None),
    ("version_1", CBC, None),
    ("version_1_file", {"owner": "ada"}, CBC),
    ("mixed", CONTENT_3 | KEY_3 | VERSION_2, None),
    ("encoded", CONTENT_3 | KEY_3 | {"x-amz-t": ENCODED}, None),
    ("quoted", CONTENT_3 | KEY_3 | {"x-amz-t": QUOTED}, None),
]:
    lines = "".join(f"{name}\t{value}\n" for name, value in metadata.items()).encode()
    seed = lines if file is None else lines + b"\0" + json.dumps(file).encode()
    (folder / f"{name}.seed").write_bytes(seed)

# Headers of volumes without their checksum, which the target adds, and tokens of LUKS2.
VOLUME_KEY_ARN = b"arn:aws:kms:local:000000000000:key/0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"


def volume_header(name=b"vol-1", sector=4096, size=1 << 20, arn=VOLUME_KEY_ARN, wrapped=bytes(range(158)), version=1, cipher=1):
    start = b"SRVOLUME" + struct.pack(">BBHQ", version, cipher, sector, size)
    return start + prefixed(name) + prefixed(arn) + prefixed(wrapped)


def luks_token(**changes):
    members = {
        "type": "strongroom-volume", "keyslots": ["0"], "format": 1, "volume_id": "vol-1", "key_arn": VOLUME_KEY_ARN.decode(),
        "wrapped_key": "AAEC", "cipher": "aes-xts-plain64", "sector_size": 512, "size": 1 << 20,
    }
    return json.dumps(members | changes).encode()


volumes = {
    "usual": volume_header(), "small_sectors": volume_header(sector=512), "empty": volume_header(size=0),
    "largest": volume_header(size=1 << 48), "too_large": volume_header(size=(1 << 48) + 4096),
    "odd_sector": volume_header(sector=1024), "odd_size": volume_header(size=1), "no_name": volume_header(b""),
    "long_name": volume_header(b"v" * 255), "too_long_name": volume_header(b"v" * 256), "no_key": volume_header(wrapped=b""),
    "longest_key": volume_header(wrapped=bytes(6144)), "too_long_key": volume_header(wrapped=bytes(6145)),
    "other_arn": volume_header(arn=b"arn:aws:s3:::bucket"), "version_2": volume_header(version=2),
    "cipher_2": volume_header(cipher=2), "cut_off": volume_header()[:-1], "longer": volume_header() + b"\0",
    "complete": volume_header() + hashlib.sha256(volume_header()).digest(),
    "token": luks_token(), "token_of_two_slots": luks_token(keyslots=["0", "31"]), "token_without_slots": luks_token(keyslots=[]),
    "token_of_slot_32": luks_token(keyslots=["32"]), "token_of_another_type": luks_token(type="luks2-keyring"),
    "token_with_another_member": luks_token(more=1), "token_without_base64": luks_token(wrapped_key="*"),
}
folder = ROOT / "corpus" / "volume_header"
folder.mkdir(parents=True, exist_ok=True)
for name, content in volumes.items():
    (folder / f"{name}.seed").write_bytes(content)

# Items of branch keys in the JSON of DynamoDB.
folder = ROOT / "corpus" / "branch_key_item"
folder.mkdir(parents=True, exist_ok=True)
VERSION = "branch:version:1234abcd-12ab-34cd-56ef-1234567890ab"


def branch_key_item(kind, **others):
    return {
        "branch-key-id": {"S": "tenant-42"}, "type": {"S": kind}, "create-time": {"S": "2026-11-30T09:26:53.000123Z"},
        "hierarchy-version": {"N": "1"}, "kms-arn": {"S": "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"},
        "enc": {"B": "AQIDBA=="}, "aws-crypto-ec:department": {"S": "accounting"}, **others,
    }


ITEMS = {
    "active": branch_key_item("branch:ACTIVE", version={"S": VERSION}),
    "version": branch_key_item(VERSION),
    "beacon": branch_key_item("beacon:ACTIVE"),
    "another_hierarchy": {**branch_key_item(VERSION), "hierarchy-version": {"N": "2"}},
}
for name, item in ITEMS.items():
    (folder / f"{name}.seed").write_text(json.dumps(item))
(folder / "answer.seed").write_text(json.dumps({"Items": list(ITEMS.values())[:3], "Count": 3}))
(folder / "next_page.seed").write_text(json.dumps({"Items": [ITEMS["beacon"]], "LastEvaluatedKey": {"type": {"S": "a"}}}))
