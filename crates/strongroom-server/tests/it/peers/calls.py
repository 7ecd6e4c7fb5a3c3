"""Calls a server with boto3. Each line of the input is a JSON list of an operation and its arguments.

Prints, for each of them, the code of the error, or null.
"""

import json
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"total_max_attempts": 1})
kms = boto3.client("kms", endpoint_url=os.environ["ENDPOINT"], config=config)
codes = []
for line in sys.stdin:
    operation, arguments = json.loads(line)
    try:
        getattr(kms, operation)(**arguments)
        codes.append(None)
    except ClientError as error:
        codes.append(error.response["Error"]["Code"])
print(json.dumps(codes))
