"""Verifies tokens with a published JSON Web Key Set, using PyJWT.

    jwt_verifier.py < REQUESTS

Each line is an object with "jwks", an object, "token", and "alg", the algorithm that the verifier expects. Finds the
key by the "kid" of the token. Prints the claims of each token as JSON, or "invalid: " and the reason.
"""

import json
import sys

import jwt

for line in sys.stdin:
    request = json.loads(line)
    try:
        keys = jwt.PyJWKSet.from_dict(request["jwks"])
        key = keys[jwt.get_unverified_header(request["token"])["kid"]]
        claims = jwt.decode(request["token"], key, algorithms=[request["alg"]])
        print(json.dumps(claims), flush=True)
    except (jwt.PyJWTError, KeyError) as error:
        print("invalid:", repr(error), flush=True)
