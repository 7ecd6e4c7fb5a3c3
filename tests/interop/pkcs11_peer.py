"""Uses keys of a token through python-pkcs11, an independent implementation.

    pkcs11_peer.py MODULE LABEL PIN <<< '{"do": ..., "id": hex, ...}'

Reads one request in JSON and writes one answer in JSON.
"""

import json
import sys

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass


def answer(session, request):
    identity = bytes.fromhex(request["id"])
    data = bytes.fromhex(request.get("data", ""))
    match request["do"]:
        case "generate":
            session.generate_key(
                KeyType.AES,
                256,
                id=identity,
                label="of python",
                store=True,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
            return {}
        case "encrypt" | "decrypt" as what:
            key = session.get_key(object_class=ObjectClass.SECRET_KEY, id=identity)
            parameters = GCMParams(bytes.fromhex(request["iv"]), bytes.fromhex(request["aad"]), 128)
            work = key.encrypt if what == "encrypt" else key.decrypt
            return {"data": work(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters).hex()}
        case "sign":
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=identity)
            return {"data": key.sign(data, mechanism=Mechanism.ECDSA).hex()}


def main():
    module, label, pin = sys.argv[1:]
    token = pkcs11.lib(module).get_token(token_label=label)
    with token.open(user_pin=pin, rw=True) as session:
        print(json.dumps(answer(session, json.load(sys.stdin))))


main()
