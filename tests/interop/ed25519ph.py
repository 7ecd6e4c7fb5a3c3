"""Verifies a signature of Ed25519ph (RFC 8032, section 5.1) with PyCryptodome.

    ed25519ph.py PUBLIC_KEY MESSAGE SIGNATURE

All three are in hexadecimal, or the message is "@" and the path of a file that contains it. The
public key is a SubjectPublicKeyInfo in DER. Prints "valid" or "invalid".
"""

import sys

from Crypto.Hash import SHA512
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

public_key, message, signature = sys.argv[1:]
public_key, signature = bytes.fromhex(public_key), bytes.fromhex(signature)
if message.startswith("@"):
    with open(message[1:], "rb") as file:
        message = file.read()
else:
    message = bytes.fromhex(message)
try:
    eddsa.new(ECC.import_key(public_key), "rfc8032").verify(SHA512.new(message), signature)
    print("valid")
except ValueError:
    print("invalid")
