"""Uses keys of ML-DSA and ML-KEM with the package cryptography, which contains OpenSSL.

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

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

KINDS = {
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
    private = serialization.load_der_private_key(given["private"], None) if "private" in given else None
    public = serialization.load_der_public_key(given["public"]) if "public" in given else None
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
