"""A server with the transit API of HashiCorp Vault and OpenBao, for the tests.

It is not Vault: no package of Vault could be installed. Paths, members, states, and texts of errors are
those of the API documentation of Vault and of the sources of OpenBao (builtin/logical/transit,
sdk/helper/keysutil, sdk/logical). All cryptography is that of the package `cryptography`.

Prints its port, and ends with its standard input.
"""

import base64
import json
import os
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ROOT = "hvs.root"
UNSEAL_KEY = "unseal"
AEAD = {"aes128-gcm96": (16, AESGCM), "aes256-gcm96": (32, AESGCM), "chacha20-poly1305": (32, ChaCha20Poly1305)}
CURVES = {"ecdsa-p256": ec.SECP256R1, "ecdsa-p384": ec.SECP384R1, "ecdsa-p521": ec.SECP521R1}
RSA = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
HASHES = {"sha1": hashes.SHA1, "sha2-224": hashes.SHA224, "sha2-256": hashes.SHA256,
          "sha2-384": hashes.SHA384, "sha2-512": hashes.SHA512}
TOO_OLD = "ciphertext or signature version is disallowed by policy (too old)"


class Refused(Exception):
    """An answer with a status and texts."""

    def __init__(self, status, *texts):
        super().__init__(status, texts)
        self.status, self.texts = status, list(texts)


def decode(text, what="input"):
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError as error:
        raise Refused(400, f"unable to decode {what} as base64: {error}") from error


def encode(data):
    return base64.b64encode(data).decode()


class Key:
    """A named key with its versions."""

    def __init__(self, name, body):
        self.name, self.type = name, body.get("type") or "aes256-gcm96"
        if self.type not in {*AEAD, *CURVES, *RSA, "ed25519", "hmac"}:
            raise Refused(400, f"unknown key type {self.type}")
        self.size = int(body.get("key_size") or 0)
        if self.size and self.type != "hmac":
            raise Refused(400, f"key_size is not valid for algorithm {self.type}")
        if self.type == "hmac":
            self.size = self.size or 32
            if not 32 <= self.size <= 512:
                raise Refused(400, f"invalid key_size {self.size}")
        self.derived, self.exportable = bool(body.get("derived")), bool(body.get("exportable"))
        self.backup = bool(body.get("allow_plaintext_backup"))
        self.deletion_allowed = False
        self.min_decryption, self.min_encryption, self.min_available, self.latest = 1, 0, 0, 0
        self.versions, self.macs, self.times = {}, {}, {}
        self.rotate()

    def rotate(self):
        self.latest += 1
        self.times[self.latest] = int(time.time())
        self.macs[self.latest] = os.urandom(32)
        if self.type in AEAD:
            material = os.urandom(AEAD[self.type][0])
        elif self.type == "hmac":
            material = self.macs[self.latest] = os.urandom(self.size)
        elif self.type in RSA:
            material = rsa.generate_private_key(public_exponent=65537, key_size=RSA[self.type])
        elif self.type in CURVES:
            material = ec.generate_private_key(CURVES[self.type]())
        else:
            material = ed25519.Ed25519PrivateKey.generate()
        self.versions[self.latest] = material

    def public_key(self, version):
        public = self.versions[version].public_key()
        if self.type == "ed25519":
            return encode(public.public_bytes_raw())
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(serialization.Encoding.PEM, form).decode()

    def describe(self):
        current = [version for version in self.versions if version >= self.min_decryption]
        keys = {}
        if self.type in AEAD:
            keys = {str(version): self.times[version] for version in current}
        elif self.type != "hmac":
            names = {"ecdsa-p256": "P-256", "ecdsa-p384": "P-384", "ecdsa-p521": "P-521"}
            for version in current:
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.times[version]))
                keys[str(version)] = {"name": names.get(self.type, self.type), "creation_time": when,
                                      "public_key": self.public_key(version)}
        described = {
            "name": self.name, "type": self.type, "derived": self.derived, "exportable": self.exportable,
            "deletion_allowed": self.deletion_allowed, "allow_plaintext_backup": self.backup,
            "min_available_version": self.min_available, "min_decryption_version": self.min_decryption,
            "min_encryption_version": self.min_encryption, "latest_version": self.latest,
            "supports_encryption": self.type in AEAD or self.type in RSA,
            "supports_decryption": self.type in AEAD or self.type in RSA,
            "supports_signing": self.type in RSA or self.type in CURVES or self.type == "ed25519",
            "supports_derivation": self.type in AEAD or self.type == "ed25519",
            "auto_rotate_period": 0, "imported_key": False,
        }
        if self.type != "hmac":
            described["keys"] = keys
        if self.size:
            described["key_size"] = self.size
        return described

    def configure(self, body):
        minimum = int(body.get("min_decryption_version", self.min_decryption)) or 1
        encryption = int(body.get("min_encryption_version", self.min_encryption))
        if minimum > self.latest:
            raise Refused(400, f"cannot set min decryption version of {minimum}, latest key version is {self.latest}")
        if encryption > self.latest:
            raise Refused(400, f"cannot set min encryption version of {encryption}, latest key version is {self.latest}")
        if 0 < encryption < minimum:
            raise Refused(400, f"cannot set min encryption/decryption values; min encryption version of {encryption} "
                               f"must be greater than or equal to min decryption version of {minimum}")
        if self.min_available > minimum:
            raise Refused(400, "min decryption version should not be less then min available version")
        self.min_decryption, self.min_encryption = minimum, encryption
        self.deletion_allowed = bool(body.get("deletion_allowed", self.deletion_allowed))
        self.exportable = self.exportable or bool(body.get("exportable"))

    def trim(self, body):
        wanted = int(body.get("min_available_version", 0))
        if wanted < self.min_available:
            raise Refused(400, "minimum available version cannot be decremented")
        if self.min_encryption == 0:
            raise Refused(400, "minimum available version cannot be set when minimum encryption version is not set")
        if wanted > self.min_encryption:
            raise Refused(400, "minimum available version cannot be greater than minmum encryption version")
        if wanted > self.min_decryption:
            raise Refused(400, "minimum available version cannot be greater than minimum decryption version")
        if wanted <= 0:
            raise Refused(400, "minimum available version should be positive")
        self.min_available = wanted
        for version in [version for version in self.versions if version < wanted]:
            del self.versions[version]

    def usable(self, version, what):
        """Returns the version for a new ciphertext, signature, or MAC."""
        version = int(version or 0) or self.latest
        if version > self.latest:
            raise Refused(400, f"requested version for {what} is higher than the latest key version")
        if version < self.latest and version < (self.min_encryption or self.min_decryption):
            raise Refused(400, f"requested version for {what} is less than the minimum encryption key version")
        return version

    def split(self, text, what):
        if not text.startswith("vault:v"):
            raise Refused(400, f"invalid {what}: no prefix")
        version, separator, rest = text[len("vault:v"):].partition(":")
        if not separator:
            raise Refused(400, f"invalid {what}: wrong number of fields")
        if not version.isdigit():
            raise Refused(400, f"invalid {what}: version number could not be decoded")
        version = int(version) or 1
        if version > self.latest:
            raise Refused(400, f"invalid {what}: version is too new")
        if version < self.min_decryption:
            raise Refused(400, TOO_OLD)
        return version, rest

    def cipher(self, version, context):
        material = self.versions[version]
        if self.derived:
            if not context:
                raise Refused(400, "missing 'context' for key derivation; the key was created using a derived key, "
                                   "which means additional, per-request information must be included in order to "
                                   "perform operations with the key")
            material = HKDF(hashes.SHA256(), len(material), None, decode(context)).derive(material)
        return AEAD[self.type][1](material)

    def associated(self, body):
        data = body.get("associated_data") or ""
        if data and self.type not in AEAD:
            raise Refused(400, f"'[0].associated_data' provided for non-AEAD cipher suite {self.type}")
        return decode(data)

    def encrypt(self, body, plaintext, associated):
        if self.type not in AEAD and self.type not in RSA:
            raise Refused(400, f"message encryption not supported for key type {self.type}")
        version = self.usable(body.get("key_version"), "encryption")
        if self.type in RSA:
            public = self.versions[version].public_key()
            sealed = public.encrypt(plaintext, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        else:
            nonce = os.urandom(12)
            sealed = nonce + self.cipher(version, body.get("context")).encrypt(nonce, plaintext, associated)
        return {"ciphertext": f"vault:v{version}:{encode(sealed)}", "key_version": version}

    def decrypt(self, body, associated):
        if not body.get("ciphertext"):
            raise Refused(400, "missing ciphertext to decrypt")
        if self.type not in AEAD and self.type not in RSA:
            raise Refused(400, f"message decryption not supported for key type {self.type}")
        version, rest = self.split(body["ciphertext"], "ciphertext")
        try:
            sealed = base64.b64decode(rest, validate=True)
        except ValueError as error:
            raise Refused(400, "invalid ciphertext: could not decode base64") from error
        if self.type in RSA:
            try:
                return self.versions[version].decrypt(
                    sealed, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
            except ValueError as error:
                raise Refused(500, "failed to RSA decrypt the ciphertext: crypto/rsa: decryption error") from error
        if len(sealed) < 12:
            raise Refused(400, "invalid ciphertext length")
        try:
            return self.cipher(version, body.get("context")).decrypt(sealed[:12], sealed[12:], associated)
        except (InvalidTag, ValueError) as error:
            raise Refused(400, "cipher: message authentication failed") from error

    def signing(self, body):
        """Returns the hash function, the RSA padding, and the digest or message of a request."""
        name = body.get("hash_algorithm") or body.get("algorithm") or "sha2-256"
        if name not in HASHES:
            raise Refused(400, f'invalid hash algorithm "{name}"')
        function, data = HASHES[name](), decode(body.get("input"))
        if self.type != "ed25519" and not body.get("prehashed"):
            digest = hashes.Hash(function)
            digest.update(data)
            data = digest.finalize()
        salt = body.get("salt_length", "auto")
        salt = {"auto": padding.PSS.MAX_LENGTH, "hash": padding.PSS.DIGEST_LENGTH}.get(salt) or int(salt)
        if body.get("signature_algorithm") == "pkcs1v15":
            return function, padding.PKCS1v15(), data
        return function, padding.PSS(padding.MGF1(function), salt), data

    def sign(self, body):
        if self.type in AEAD or self.type == "hmac":
            raise Refused(400, f"key type {self.type} does not support signing")
        version = self.usable(body.get("key_version"), "signing")
        if body.get("marshaling_algorithm", "asn1") != "asn1":
            raise Refused(400, "this server has no other marshaling than asn1")
        function, pad, data = self.signing(body)
        private, prehashed = self.versions[version], utils.Prehashed(function)
        if self.type in RSA:
            signature = private.sign(data, pad, prehashed)
        elif self.type in CURVES:
            signature = private.sign(data, ec.ECDSA(prehashed))
        else:
            signature = private.sign(data)
        return {"signature": f"vault:v{version}:{encode(signature)}", "key_version": version}

    def verify(self, body):
        if "hmac" in body:
            version, rest = self.split(body["hmac"], "HMAC")
            return {"valid": self.mac(body, version) == decode(rest)}
        if self.type in AEAD or self.type == "hmac":
            raise Refused(400, f"key type {self.type} does not support verification")
        version, rest = self.split(body.get("signature") or "", "signature")
        function, pad, data = self.signing(body)
        public, prehashed, signature = self.versions[version].public_key(), utils.Prehashed(function), decode(rest)
        try:
            if self.type in RSA:
                public.verify(signature, data, pad, prehashed)
            elif self.type in CURVES:
                public.verify(signature, data, ec.ECDSA(prehashed))
            else:
                public.verify(signature, data)
        except InvalidSignature:
            return {"valid": False}
        return {"valid": True}

    def mac(self, body, version):
        name = body.get("algorithm") or "sha2-256"
        if name not in HASHES:
            raise Refused(400, f'unsupported algorithm "{name}"')
        code = hmac.HMAC(self.macs[version], HASHES[name]())
        code.update(decode(body.get("input")))
        return code.finalize()

    def export(self, kind, wanted):
        if not self.exportable:
            raise Refused(400, "private key material is not exportable")
        versions = [version for version in self.versions if version >= self.min_decryption]
        if wanted == "latest":
            versions = [self.latest]
        elif wanted:
            if int(wanted) not in self.versions:
                raise Refused(400, "version does not exist or cannot be found")
            versions = [int(wanted)]
        if kind == "encryption-key" and self.type in AEAD:
            keys = {str(version): encode(self.versions[version]) for version in versions}
        elif kind == "hmac-key":
            keys = {str(version): encode(self.macs[version]) for version in versions}
        else:
            raise Refused(400, f"key of type {self.type} cannot be exported as {kind}")
        return {"name": self.name, "type": self.type, "keys": keys}


class Transit:
    """A transit engine."""

    def __init__(self):
        self.keys = {}

    def exists(self, parts):
        return len(parts) > 1 and parts[1] in self.keys

    def key(self, name, text="encryption key not found"):
        if name not in self.keys:
            raise Refused(400, text)
        return self.keys[name]

    def answer(self, method, parts, body):
        operation, rest = parts[0], parts[1:]
        if operation == "keys":
            return self.manage(method, rest, body)
        if operation == "export" and method == "GET" and len(rest) in (2, 3):
            if rest[1] not in self.keys:
                raise Refused(404)
            return self.keys[rest[1]].export(rest[0], rest[2] if len(rest) == 3 else "")
        if method != "POST" or not rest:
            raise Refused(405, "unsupported operation")
        if operation == "encrypt":
            if "plaintext" not in body:
                raise Refused(400, "missing plaintext to encrypt")
            if rest[0] not in self.keys:  # The caller may create it: this was checked.
                self.keys[rest[0]] = Key(rest[0], {**body, "derived": bool(body.get("context"))})
            key = self.keys[rest[0]]
            return key.encrypt(body, decode(body["plaintext"]), key.associated(body))
        if operation == "decrypt":
            key = self.key(rest[0])
            return {"plaintext": encode(key.decrypt(body, key.associated(body)))}
        if operation == "rewrap":
            key = self.key(rest[0])
            return key.encrypt(body, key.decrypt(body, b""), b"")
        if operation == "datakey" and len(rest) == 2:
            key, bits = self.key(rest[1]), int(body.get("bits") or 256)
            if bits not in (128, 256, 512):
                raise Refused(400, "invalid bit length")
            plaintext = os.urandom(bits // 8)
            answer = key.encrypt(body, plaintext, b"")
            return {**answer, "plaintext": encode(plaintext)} if rest[0] == "plaintext" else answer
        if operation == "sign":
            return self.key(rest[0], "signing key not found").sign({**body, **self.hash_of(rest)})
        if operation == "verify":
            return self.key(rest[0], "signature verification key not found").verify({**body, **self.hash_of(rest)})
        if operation == "hmac":
            key = self.key(rest[0])
            version = key.usable(body.get("key_version"), "HMAC")
            body = {**body, **({"algorithm": rest[1]} if len(rest) > 1 else {})}
            return {"hmac": f"vault:v{version}:{encode(key.mac(body, version))}"}
        raise Refused(404, "unsupported path")

    @staticmethod
    def hash_of(rest):
        return {"hash_algorithm": rest[1], "algorithm": rest[1]} if len(rest) > 1 else {}

    def manage(self, method, rest, body):
        if not rest:
            if not self.keys:
                raise Refused(404)
            return {"keys": sorted(self.keys)}
        name, action = rest[0], rest[1] if len(rest) > 1 else ""
        if method == "GET":
            if name not in self.keys:
                raise Refused(404)
            return self.keys[name].describe()
        if method == "DELETE":
            reason = "could not delete key; not found"
            if name in self.keys:
                reason = None if self.keys[name].deletion_allowed else "deletion is not allowed for this key"
            if reason:
                raise Refused(400, f"error deleting policy {name}: {reason}")
            del self.keys[name]
            return None
        if action == "config":
            self.key(name, f"no existing key named {name} could be found").configure(body)
        elif action == "rotate":
            self.key(name, "key not found").rotate()
        elif action == "trim":
            self.key(name, "invalid key name").trim(body)
        elif name not in self.keys:
            self.keys[name] = Key(name, body)
        return self.keys[name].describe()


class Vault:
    """Namespaces, mounts, tokens, and policies."""

    def __init__(self):
        self.lock, self.sealed = threading.Lock(), False
        self.mounts = {("", "transit"): Transit()}
        self.namespaces, self.tokens, self.policies = {""}, {ROOT: ["root"]}, {}

    def answer(self, method, path, namespace, token, body):
        if path == "sys/health":
            return {"sealed": self.sealed}
        if path == "sys/unseal":
            self.sealed = self.sealed and body.get("key") != UNSEAL_KEY
            return {"sealed": self.sealed}
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if not token:
            raise Refused(403, "missing client token")
        if token not in self.tokens:
            raise Refused(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        no_route = Refused(404, f'no handler for route "{path}". route entry not found.')
        if namespace not in self.namespaces:
            raise no_route
        names = sorted((mount for space, mount in self.mounts if space == namespace), key=len, reverse=True)
        mount = next((mount for mount in names if path.startswith(mount + "/")), None)
        engine = self.mounts.get((namespace, mount))
        parts = path[len(mount) + 1:].split("/") if mount else []
        operation = {"GET": "read", "LIST": "list", "DELETE": "delete"}.get(method, "update")
        if engine and parts[0] == "encrypt" and operation == "update" and not engine.exists(parts):
            operation = "create"
        self.authorize(self.tokens[token], path, operation)
        if engine:
            return engine.answer(method, parts, body)
        return self.system(path, namespace, body, no_route)

    def authorize(self, policies, path, operation):
        if "root" in policies:
            return
        for policy in policies:
            for pattern, rule in self.policies.get(policy, {}).get("path", {}).items():
                matches = path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
                if matches and operation in rule["capabilities"]:
                    return
        raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")

    def system(self, path, namespace, body, no_route):
        if path == "sys/seal":
            self.sealed = True
        elif path.startswith("sys/mounts/") and body.get("type") == "transit":
            self.mounts[(namespace, path[len("sys/mounts/"):].strip("/"))] = Transit()
        elif path.startswith("sys/namespaces/"):
            self.namespaces.add(path[len("sys/namespaces/"):].strip("/"))
        elif path.startswith("sys/policies/acl/"):
            self.policies[path[len("sys/policies/acl/"):]] = json.loads(body["policy"])
        elif path == "auth/token/create":
            token = "hvs." + uuid.uuid4().hex
            self.tokens[token] = body.get("policies") or ["default"]
            return {"auth": {"client_token": token, "policies": self.tokens[token], "renewable": True}}
        elif path == "auth/token/revoke":
            self.tokens.pop(body["token"], None)
        else:
            raise no_route
        return None


VAULT = Vault()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        path = self.path.partition("?")[0]
        method = "POST" if self.command == "PUT" else self.command
        if "list=true" in self.path:
            method = "LIST"
        try:
            body = json.loads(raw) if raw else {}
            namespace = (self.headers.get("X-Vault-Namespace") or "").strip("/")
            with VAULT.lock:
                data = VAULT.answer(method, path.removeprefix("/v1/"), namespace, self.headers.get("X-Vault-Token"), body)
            status, answer = (204, None) if data is None else (200, self.envelope(data))
        except Refused as refused:
            status, answer = refused.status, {"errors": refused.texts}
        except (ValueError, KeyError, TypeError) as error:
            status, answer = 400, {"errors": [f"failed to parse JSON input: {error}"]}
        payload = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self._headers_buffer.append(b"\r\n" + payload)
        self.flush_headers()

    @staticmethod
    def envelope(data):
        answer = {"request_id": str(uuid.uuid4()), "lease_id": "", "renewable": False, "lease_duration": 0,
                  "data": data, "wrap_info": None, "warnings": None, "auth": None}
        if "auth" in data:
            answer.update(data=None, auth=data["auth"])
        return answer

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = handle_request


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
