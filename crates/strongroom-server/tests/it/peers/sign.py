"""Signs requests with botocore. Reads one JSON object per line, and writes the signed request."""

import datetime
import hashlib
import json
import sys

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sign(order):
    credentials = Credentials(order["access_key"], order["secret"], order["token"])
    body = order["body"].encode()
    moment = datetime.datetime.fromisoformat(order["time"])
    # botocore calls this function for the current time.
    auth.get_current_datetime = lambda remove_tzinfo=True: moment
    if order["expires"] is None:
        signer = auth.SigV4Auth(credentials, order["service"], order["region"])
        request = AWSRequest(order["method"], order["url"], headers=dict(order["headers"]), data=body)
    else:
        signer = auth.SigV4QueryAuth(credentials, order["service"], order["region"], expires=order["expires"])
        # The signer would move the body into the query, so it only learns its hash.
        signer.payload = lambda request: hashlib.sha256(body).hexdigest()
        request = AWSRequest(order["method"], order["url"], headers=dict(order["headers"]))
    signer.add_auth(request)
    prepared = request.prepare()
    headers = [[name, value] for name, value in prepared.headers.items() if name.lower() != "content-length"]
    return {"url": prepared.url, "headers": headers}


for line in sys.stdin:
    print(json.dumps(sign(json.loads(line))), flush=True)
