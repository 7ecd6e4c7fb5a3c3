"""Writes with Tink: python tink_writer.py URL TOKEN KEY PLAINTEXT ASSOCIATED_DATA, the last two in hexadecimal.

Prints a keyset in JSON, in one line, a ciphertext of its key, and a ciphertext of KMS envelope encryption
under a key in Vault.
"""

import json
import sys

import hvac
import tink
from tink import aead, json_proto_keyset_format, secret_key_access
from tink.integration import hcvault

url, token, key, plaintext, associated_data = sys.argv[1:]
plaintext, associated_data = bytes.fromhex(plaintext), bytes.fromhex(associated_data)
aead.register()
handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
print(json.dumps(json.loads(json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN))))
print(handle.primitive(aead.Aead).encrypt(plaintext, associated_data).hex())
remote = hcvault.new_aead(f"transit/keys/{key}", hvac.Client(url=url, token=token))
envelope = aead.KmsEnvelopeAead(aead.aead_key_templates.AES256_GCM, remote)
print(envelope.encrypt(plaintext, associated_data).hex())
