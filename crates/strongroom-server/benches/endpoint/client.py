"""Calls Encrypt with boto3 for some seconds, and prints the time of each call in microseconds."""

import json
import sys
import time

import boto3

key, seconds = sys.argv[1], float(sys.argv[2])
kms = boto3.client("kms")
kms.encrypt(KeyId=key, Plaintext=b"4711")
times = []
end = time.perf_counter() + seconds
while time.perf_counter() < end:
    started = time.perf_counter_ns()
    kms.encrypt(KeyId=key, Plaintext=b"4711")
    times.append((time.perf_counter_ns() - started) // 1000)
print(json.dumps(times))
