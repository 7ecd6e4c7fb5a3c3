"""Writes or reads an encrypted Parquet file with PyArrow, whose keys a KMS wraps over its API.

The request on the standard input is JSON with `do`, `path`, `footer`, `columns`, `double` and
`context`. The answer is JSON with the columns of the file.
"""

import base64
import datetime
import json
import sys

import boto3
import pyarrow
import pyarrow.parquet
import pyarrow.parquet.encryption as encryption


class Kms(encryption.KmsClient):
    def __init__(self, configuration):
        super().__init__()
        self.context = json.loads(configuration.custom_kms_conf["context"])
        self.kms = boto3.client("kms")

    def wrap_key(self, key_bytes, master_key_identifier):
        answer = self.kms.encrypt(KeyId=master_key_identifier, Plaintext=key_bytes, EncryptionContext=self.context)
        return base64.b64encode(answer["CiphertextBlob"])

    def unwrap_key(self, wrapped_key, master_key_identifier):
        blob = base64.b64decode(wrapped_key)
        answer = self.kms.decrypt(KeyId=master_key_identifier, CiphertextBlob=blob, EncryptionContext=self.context)
        return answer["Plaintext"]


request = json.load(sys.stdin)
lifetime = datetime.timedelta(minutes=5)
factory = encryption.CryptoFactory(Kms)
connection = encryption.KmsConnectionConfig(custom_kms_conf={"context": json.dumps(request["context"])})
if request["do"] == "write":
    configuration = encryption.EncryptionConfiguration(
        footer_key=request["footer"],
        column_keys=request["columns"],
        double_wrapping=request["double"],
        encryption_algorithm="AES_GCM_V1",
        data_key_length_bits=128,
        cache_lifetime=lifetime,
    )
    properties = factory.file_encryption_properties(connection, configuration)
    table = pyarrow.table({name: pyarrow.array(values, pyarrow.int64()) for name, values in request["table"].items()})
    with pyarrow.parquet.ParquetWriter(
        request["path"], table.schema, compression="NONE", encryption_properties=properties
    ) as writer:
        writer.write_table(table)
else:
    configuration = encryption.DecryptionConfiguration(cache_lifetime=lifetime)
    properties = factory.file_decryption_properties(connection, configuration)
    table = pyarrow.parquet.ParquetFile(request["path"], decryption_properties=properties).read()
json.dump(table.to_pydict(), sys.stdout)
