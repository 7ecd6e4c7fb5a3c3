"""Writes the seeds of the message and policy targets from the test data, and those of the key target from the keys beside it.

Run after adding vectors: python3 fuzz/make_seeds.py

The seeds of the other targets were found by fuzzing and thinned out with `cargo fuzz cmin`.
"""

import hashlib
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent
VECTORS = ROOT.parent / "tests" / "vectors" / "message"

for vector in sorted(VECTORS.glob("*.txt")):
    lines = vector.read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    message = bytes.fromhex(fields["ciphertext"]) if "ciphertext" in fields else b""
    # The open target takes a byte 0 for "this is a message as it came".
    for target, prefix in [("message_header", b""), ("message_open", b"\0")]:
        folder = ROOT / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{vector.stem}.seed").write_bytes(prefix + message)

# The kinds in the order of `KeyPairKind::ALL`; a byte for the kind, and one for the form: 0 is a public key.
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

# The documents of the tables, each with the encryption context that the target takes after a zero byte.
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
