"""Uses keys of ML-DSA and ML-KEM with the package cryptography, which contains OpenSSL. It has no
ML-KEM-512, which comes from PyCryptodome.

Reads one JSON object per line and prints one answer per line, in hexadecimal. Keys are in DER:
PKCS#8 and SubjectPublicKeyInfo. All bytes are in hexadecimal.

    {"do": "sign", "private": ..., "message": ...}         the signature, or of "mu"
    {"do": "verify", "public": ..., "message": ..., "signature": ...}      "valid" or "invalid"
    {"do": "mu", "public": ..., "message": ...}             the message representative
    {"do": "encapsulate", "public": ...}                    the secret and the ciphertext
    {"do": "decapsulate", "private": ..., "ciphertext": ...}       the secret
    {"do": "generate", "kind": ...}                         the private and the public key
    {"do": "convert", "private": ...}                       the private and the public key
"""

import json
import sys

from Crypto.PublicKey import MLKEM
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

class MLKEM512Key:
    """A key of PyCryptodome with the interface of cryptography."""

    def __init__(self, key):
        self.key = key

    @classmethod
    def generate(cls):
        return cls(MLKEM.generate(param_set=MLKEM.ML_KEM_512))

    def public_key(self):
        return MLKEM512Key(self.key.public_key())

    def public_bytes(self, *_):
        return self.key.export_key(format="DER")

    private_bytes = public_bytes

    # Without a leading underscore, they exist only as a part of HPKE.
    def encapsulate(self):
        return self.key._encaps()

    def decapsulate(self, ciphertext):
        return self.key._decaps(ciphertext)


def load(read, der, *options):
    try:
        return read(der, *options)
    except (UnsupportedAlgorithm, ValueError):
        return MLKEM512Key(MLKEM.import_key(der))


KINDS = {
    "ML_KEM_512": MLKEM512Key,
    "ML_DSA_44": mldsa.MLDSA44PrivateKey,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey,
    "ML_KEM_768": mlkem.MLKEM768PrivateKey,
    "ML_KEM_1024": mlkem.MLKEM1024PrivateKey,
}


def in_der(private):
    encoding = serialization.Encoding.DER
    key = private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"{key.hex()} {public.hex()}"


def answer(request):
    given = {name: value if name in ("do", "kind") else bytes.fromhex(value) for name, value in request.items()}
    private = load(serialization.load_der_private_key, given["private"], None) if "private" in given else None
    public = load(serialization.load_der_public_key, given["public"]) if "public" in given else None
    match given["do"]:
        case "sign":
            signed = private.sign_mu(given["mu"]) if "mu" in given else private.sign(given["message"])
            return signed.hex()
        case "verify":
            try:
                if "mu" in given:
                    public.verify_mu(given["signature"], given["mu"])
                else:
                    public.verify(given["signature"], given["message"])
            except InvalidSignature:
                return "invalid"
            return "valid"
        case "mu":
            hasher = mldsa.MLDSAMuHasher(public)
            hasher.update(given["message"])
            return hasher.finalize().hex()
        case "encapsulate":
            return " ".join(part.hex() for part in public.encapsulate())
        case "decapsulate":
            return private.decapsulate(given["ciphertext"]).hex()
        case "generate":
            return in_der(KINDS[given["kind"]].generate())
        case "convert":
            return in_der(private)


for line in sys.stdin:
    print(answer(json.loads(line)), flush=True)
