"""Calls the server with hvac, a client of Vault that knows nothing of it: python hvac_client.py URL TOKEN."""

import base64
import sys

import hvac
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

client = hvac.Client(url=sys.argv[1], token=sys.argv[2])
transit = client.secrets.transit


def encode(data):
    return base64.b64encode(data).decode()


def refuses(exception, text, call):
    try:
        call()
    except exception as error:
        assert text in str(error), f"{text} not in {error}"
        return
    raise AssertionError(f"no {exception.__name__}: {text}")


# Symmetric keys, associated data, versions.
transit.create_key(name="orders")
transit.create_key(name="orders")  # Does nothing.
described = transit.read_key(name="orders")["data"]
assert described["type"] == "aes256-gcm96" and list(described["keys"]) == ["1"], described
bound = encode(b"bound")
first = transit.encrypt_data(name="orders", plaintext=encode(b"tea"), associated_data=bound)["data"]["ciphertext"]
assert first.startswith("vault:v1:"), first
opened = transit.decrypt_data(name="orders", ciphertext=first, associated_data=bound)["data"]["plaintext"]
assert base64.b64decode(opened) == b"tea"
refuses(hvac.exceptions.InvalidRequest, "message authentication failed",
        lambda: transit.decrypt_data(name="orders", ciphertext=first))
plain = transit.encrypt_data(name="orders", plaintext=encode(b"tea"))["data"]["ciphertext"]
transit.rotate_key(name="orders")
rewrapped = transit.rewrap_data(name="orders", ciphertext=plain)["data"]["ciphertext"]
assert rewrapped.startswith("vault:v2:"), rewrapped
transit.rotate_key(name="orders")
transit.update_key_configuration(name="orders", min_decryption_version=2, min_encryption_version=3)
refuses(hvac.exceptions.InvalidRequest, "disallowed by policy (too old)",
        lambda: transit.decrypt_data(name="orders", ciphertext=plain))
transit.trim_key(name="orders", min_version=2)
assert transit.read_key(name="orders")["data"]["min_available_version"] == 2
refuses(hvac.exceptions.InvalidRequest, "", lambda: transit.update_key_configuration(
    name="orders", min_decryption_version=1, min_encryption_version=3))
assert base64.b64decode(transit.decrypt_data(name="orders", ciphertext=rewrapped)["data"]["plaintext"]) == b"tea"
datakey = transit.generate_data_key(name="orders", key_type="plaintext")["data"]
assert transit.decrypt_data(name="orders", ciphertext=datakey["ciphertext"])["data"]["plaintext"] == datakey["plaintext"]

# Signatures, which OpenSSL verifies with the public key that the server returns.
message = b"I owe you 17 euros"
transit.create_key(name="ec", key_type="ecdsa-p256")
signature = transit.sign_data(name="ec", hash_input=encode(message), hash_algorithm="sha2-256")["data"]["signature"]
public = serialization.load_pem_public_key(transit.read_key(name="ec")["data"]["keys"]["1"]["public_key"].encode())
public.verify(base64.b64decode(signature.removeprefix("vault:v1:")), message, ec.ECDSA(hashes.SHA256()))
assert transit.verify_signed_data(name="ec", hash_input=encode(message), signature=signature)["data"]["valid"]
assert not transit.verify_signed_data(name="ec", hash_input=encode(b"18"), signature=signature)["data"]["valid"]
transit.create_key(name="rsa", key_type="rsa-2048")
signature = transit.sign_data(name="rsa", hash_input=encode(message), signature_algorithm="pkcs1v15",
                              hash_algorithm="sha2-256")["data"]["signature"]
public = serialization.load_pem_public_key(transit.read_key(name="rsa")["data"]["keys"]["1"]["public_key"].encode())
public.verify(base64.b64decode(signature.removeprefix("vault:v1:")), message, padding.PKCS1v15(), hashes.SHA256())

# MACs, exports, deletions, and what is refused.
code = transit.generate_hmac(name="orders", hash_input=encode(message), algorithm="sha2-256")["data"]["hmac"]
assert code.startswith("vault:v3:") and transit.verify_signed_data(
    name="orders", hash_input=encode(message), hmac=code)["data"]["valid"]
refuses(hvac.exceptions.InvalidRequest, "not exportable", lambda: transit.export_key("orders", "encryption-key"))
transit.create_key(name="open", exportable=True)
exported = transit.export_key("open", "encryption-key")["data"]["keys"]["1"]
assert len(base64.b64decode(exported)) == 32
assert transit.list_keys()["data"]["keys"] == ["ec", "open", "orders", "rsa"]
refuses(hvac.exceptions.InvalidRequest, "deletion is not allowed", lambda: transit.delete_key(name="open"))
transit.update_key_configuration(name="open", deletion_allowed=True)
transit.delete_key(name="open")
refuses(hvac.exceptions.InvalidPath, "", lambda: transit.read_key(name="open"))
refuses(hvac.exceptions.InvalidRequest, "not found",
        lambda: transit.decrypt_data(name="open", ciphertext="vault:v1:AAAA"))
refuses(hvac.exceptions.InvalidPath, "no handler for route", lambda: transit.read_key(name="a", mount_point="other"))
stranger = hvac.Client(url=sys.argv[1], token="hvs.stranger")
refuses(hvac.exceptions.Forbidden, "permission denied", lambda: stranger.secrets.transit.read_key(name="orders"))
client.sys.seal()
refuses(hvac.exceptions.VaultDown, "sealed", lambda: transit.read_key(name="orders"))
print("hvac agrees")
