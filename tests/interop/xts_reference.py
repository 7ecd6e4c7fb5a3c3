"""Encrypts data units with AES-XTS of OpenSSL: one JSON object for each line, and the ciphertext in hexadecimal."""

import json
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

for line in sys.stdin:
    request = {name: bytes.fromhex(value) for name, value in json.loads(line).items()}
    encryptor = Cipher(algorithms.AES(request["key"]), modes.XTS(request["tweak"])).encryptor()
    print((encryptor.update(request["data"]) + encryptor.finalize()).hex())
