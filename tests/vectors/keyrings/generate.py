#!/usr/bin/env python3
"""Has the official Encryption SDK for Python write messages of every suite under every other keyring than raw AES alone:
raw RSA, raw ECDH, several keyrings, and a context that the header leaves out; and damages some of them.

    ../../../.venv/bin/python generate.py

Needs the packages of tests/interop/requirements.txt (./test.sh makes the virtual environment). Keys, data keys and message
ids are random, so each run makes other files; those that are there were made once and need no SDK to be read. The keys are
files of their own, which `private key` and `public key` name. The plaintext of each is the beginning of 00 01 02 ... fa 00
01 ...
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))

import esdk_peer  # noqa: E402  (found by the line above)

NAMESPACE, NAME = "sdk", "key é"
FRAME_LENGTH = 128
SUITES = [0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0478, 0x0578]
WITHOUT_DERIVATION = [0x0014, 0x0046, 0x0078]
SIGNED = {0x0214, 0x0346, 0x0378, 0x0578}
CONTEXTS = [
    {},
    {"purpose": "vector", "tenant": "42"},
    {"\U00010000": "🔑", "\uff61": "", "ключ": "значение"},
]
LENGTHS = [300, 0, FRAME_LENGTH]
PADDINGS = ["PKCS1", "OAEP_SHA1_MGF1", "OAEP_SHA256_MGF1", "OAEP_SHA384_MGF1", "OAEP_SHA512_MGF1"]
CURVES = {"p256": ("ECC_NIST_P256", ec.SECP256R1), "p384": ("ECC_NIST_P384", ec.SECP384R1), "p521": ("ECC_NIST_P521", ec.SECP521R1)}


def plaintext(length):
    return bytes(i % 251 for i in range(length))


def make_keys():
    """Writes `<name>.pem` and `<name>_public.pem` of each."""
    made = {"rsa": rsa.generate_private_key(65537, 2048)}
    for curve, (_, kind) in CURVES.items():
        made[f"{curve}_sender"] = ec.generate_private_key(kind())
        made[f"{curve}_recipient"] = ec.generate_private_key(kind())
    for name, key in made.items():
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (HERE / f"{name}.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        (HERE / f"{name}_public.pem").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def pem(name):
    return (HERE / f"{name}.pem").read_text()


def der(name):
    key = serialization.load_pem_public_key(pem(name).encode())
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo).hex()


def rsa_keyring(padding):
    request = {"rsa": {"padding": padding, "public": pem("rsa_public"), "private": pem("rsa")}}
    return request, {"keyring": f"rsa {padding}", "private key": "rsa.pem"}


def ecdh_keyring(curve, scheme):
    """Two static keys are read by the recipient who knows the sender, an ephemeral sender by discovery."""
    request = {"scheme": scheme, "curve": CURVES[curve][0], "public": der(f"{curve}_recipient_public")}
    fields = {"keyring": "ecdh discovery", "private key": f"{curve}_recipient.pem"}
    if scheme == "static":
        request["private"] = pem(f"{curve}_sender")
        fields |= {"keyring": "ecdh static", "public key": f"{curve}_sender_public.pem"}
    return {"ecdh": request}, fields


def aes_member(name, length):
    return {"namespace": NAMESPACE, "name": name, "key": bytes(range(1, 1 + length)).hex()}


def several_keyrings(reader):
    """Three raw AES keys, of which one reads."""
    members = [aes_member("a", 16), aes_member("ab", 24), aes_member("b", 32)]
    chosen = members[reader]
    fields = {"name": chosen["name"], "wrapping key": chosen["key"]}
    return members[0] | {"children": members[1:]}, fields


def required_context():
    member = aes_member(NAME, 32)
    fields = {"wrapping key": member["key"], "reproduced context": "purpose=vector"}
    return member | {"required": ["purpose"]}, fields


def keyrings():
    """Name, request of the peer, and what a reader needs."""
    for padding in PADDINGS:
        yield f"rsa_{padding.lower().removesuffix('_mgf1')}", *rsa_keyring(padding)
    for curve in CURVES:
        for scheme in ("static", "ephemeral"):
            yield f"ecdh_{curve}_{scheme}", *ecdh_keyring(curve, scheme)
    for reader in range(3):
        yield f"several_{reader + 1}", *several_keyrings(reader)
    yield "required", *required_context()


def encrypt(suite, request, context, frame_length, text):
    request = {"namespace": NAMESPACE, "name": NAME, "keyring": suite not in WITHOUT_DERIVATION} | request
    request |= {"suite": suite, "context": context, "frame_length": frame_length, "plaintext": text.hex()}
    return bytes.fromhex(esdk_peer.encrypt(request)["ciphertext"])


def write(name, reason, suite, fields, expect, message):
    fields = {"namespace": NAMESPACE, "name": NAME} | fields
    if suite < 0x0400:
        fields["commitment policy"] = "allow"
    fields |= {"expect": expect, "ciphertext": message.hex()}
    lines = [f"# {reason}."] + [f"{key}: {value}" for key, value in fields.items()]
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")


def sound():
    turn = 0
    for suite in WITHOUT_DERIVATION + SUITES:
        for keyring, request, fields in keyrings():
            # The material providers library, which has all of these keyrings, knows no suite without derivation.
            if suite in WITHOUT_DERIVATION and not keyring.startswith("rsa"):
                continue
            for framing, frame_length in (("framed", FRAME_LENGTH), ("unframed", 0)):
                # Contexts and lengths take turns: with each keyring and with each suite all of them occur.
                context = CONTEXTS[1 if keyring == "required" else turn % 3]
                length = LENGTHS[turn // 3 % 3]
                turn += 1
                message = encrypt(suite, request, context, frame_length, plaintext(length))
                reason = f"Suite 0x{suite:04x}, {framing}, {keyring}, {len(context)} pairs, {length} bytes"
                expect = f"ok {plaintext(length).hex()}".strip()
                write(f"{suite:04x}_{framing}_{keyring}", reason, suite, fields, expect, message)


def flipped(message, offset):
    return message[:offset] + bytes([message[offset] ^ 1]) + message[offset + 1:]


def wrapped_key(message):
    """Where provider information and ciphertext of the only wrapped data key lie in a message of version 2."""
    def field(at):
        return at + 2, at + 2 + int.from_bytes(message[at:at + 2], "big")

    _, context_end = field(35)
    _, provider_end = field(context_end + 2)
    information = field(provider_end)
    return information, field(information[1])


def damaged():
    """With each keyring, a wrapped key that was altered or belongs to another, and a context that is not the one."""
    suite, context = 0x0478, CONTEXTS[1]
    for keyring, request, fields in keyrings():
        if keyring.startswith("several"):
            continue
        message = encrypt(suite, request, context, FRAME_LENGTH, plaintext(300))
        information, ciphertext = wrapped_key(message)
        unwrapped = "NoDataKeyUnwrapped"

        def refuse(what, reason, broken, expect=unwrapped, other=None):
            write(f"damaged_{keyring}_{what}", f"{keyring}: {reason}", suite, fields | (other or {}), f"refused {expect}", broken)

        # A padding of PKCS#1 v1.5 that is broken may still give a data key, another one: then the commitment tells.
        if keyring != "rsa_pkcs1":
            refuse("wrapped_first", "one bit of the wrapped key's first byte is flipped", flipped(message, ciphertext[0]))
            refuse("wrapped_last", "one bit of the wrapped key's last byte is flipped", flipped(message, ciphertext[1] - 1))
        refuse("information", "one bit of the provider information is flipped", flipped(message, information[0] + 1))
        # RSA does not bind the context to the data key: there the header's tag tells.
        value = message.index(b"42", 35)
        refuse("context", "one bit of the context is flipped", flipped(message, value), "HeaderAuth" if keyring.startswith("rsa") else unwrapped)
        if keyring.startswith("rsa"):
            refuse("name", "the reader's key has another name", message, other={"name": "key"})
        if keyring.startswith("ecdh"):
            curve = keyring.split("_")[1]
            sender = {"private key": f"{curve}_sender.pem", "keyring": "ecdh discovery"}
            refuse("sender", "the sender's key alone reads nothing", message, other=sender)
            # The points lie behind a version byte, each behind its length of four bytes.
            point = ciphertext[0] - 2 - (information[1] - information[0] - 9) // 2
            off = message[:point] + b"\xff" * (ciphertext[0] - 2 - point) + message[ciphertext[0] - 2:]
            refuse("point", "the sender's public key is no point", off)
            refuse("salt", "one bit of the commitment key before the wrapped key is flipped", flipped(message, ciphertext[0] + 32))
        if keyring == "required":
            refuse("wrong", "the pair that the header leaves out is another one", message, other={"reproduced context": "purpose=other"})
            refuse("none", "a pair that the header does not leave out is brought instead", message, other={"reproduced context": "tenant=42"})


def main():
    for path in [*HERE.glob("*.txt"), *HERE.glob("*.pem")]:
        path.unlink()
    make_keys()
    sound()
    damaged()


if __name__ == "__main__":
    main()
