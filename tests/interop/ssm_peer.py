"""Calls the operations of the parameter store with boto3, and checks the answers.

The requests are serialized, and the responses parsed, by botocore. Only its transport is replaced, as in
boto3_peer.py: a request is one line of JSON on the standard output, its response one line on the
standard input. The last line of the output reports the problems.
"""

import base64
import io
import json
import sys
import uuid

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

ARN = "arn:aws:ssm:local:000000000000:parameter"


class Body(io.BytesIO):
    """The body of a response, as urllib3 presents it."""

    def stream(self, **_):
        yield self.read()


def transport(request, **_):
    target = request.headers["X-Amz-Target"]
    target = target.decode() if isinstance(target, bytes) else target
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    assert "/local/ssm/aws4_request" in str(request.headers["Authorization"]), "the scope of the signature"
    print(json.dumps({"operation": target.removeprefix("AmazonSSM."), "body": body}), flush=True)
    answer = json.loads(sys.stdin.readline())
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": "application/x-amz-json-1.1"}
    return AWSResponse(request.url, answer["status"], headers, Body(base64.b64decode(answer["body"])))


session = botocore.session.Session()
session.set_credentials("AKIAIOSFODNN7EXAMPLE", "secret")
config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
ssm = session.create_client("ssm", region_name="local", endpoint_url="http://localhost", config=config)
ssm._endpoint.http_session.send = transport
problems, cases = [], 0


def check(what, found, expected):
    global cases
    cases += 1
    if found != expected:
        problems.append(f"{what}: {found!r} instead of {expected!r}")


def code(call, **arguments):
    try:
        getattr(ssm, call)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def text(call, **arguments):
    try:
        getattr(ssm, call)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Message"]
    return "ok"


done = ssm.put_parameter(Name="/shop/db/password", Value="correct horse", Type="SecureString", Description="database")
check("put", (done["Version"], done["Tier"]), (1, "Standard"))
found = ssm.get_parameter(Name="/shop/db/password", WithDecryption=True)["Parameter"]
check("decrypted", (found["Value"], found["Type"], found["Version"]), ("correct horse", "SecureString", 1))
check("ARN", (found["ARN"], found["DataType"]), (f"{ARN}/shop/db/password", "text"))
check("time", found["LastModifiedDate"].year > 2000, True)
stored = ssm.get_parameter(Name="/shop/db/password")["Parameter"]["Value"]
check("stored", b"horse" in base64.b64decode(stored), False)
check("plaintext", stored != "correct horse", True)
check("exists", code("put_parameter", Name="/shop/db/password", Value="x", Type="SecureString"), "ParameterAlreadyExists")
done = ssm.put_parameter(Name="/shop/db/password", Value="battery staple", Type="SecureString", Overwrite=True)
check("overwritten", done["Version"], 2)
found = ssm.get_parameter(Name="/shop/db/password:1", WithDecryption=True)["Parameter"]
check("version", (found["Value"], found["Selector"]), ("correct horse", ":1"))

ssm.put_parameter(Name="/shop/url", Value="https://shop.example", Type="String", Tags=[{"Key": "team", "Value": "größe"}])
ssm.put_parameter(Name="/shop/hosts", Value="a,b", Type="StringList")
long = "x" * 8192
ssm.put_parameter(Name="/shop/long", Value=long, Type="SecureString", Tier="Advanced")
check("advanced", ssm.get_parameter(Name="/shop/long", WithDecryption=True)["Parameter"]["Value"], long)
for size in (1, 2, 10):
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path="/shop", Recursive=True, WithDecryption=True, PaginationConfig={"PageSize": size}
    )
    names = [parameter["Name"] for page in pages for parameter in page["Parameters"]]
    check(f"by path, {size}", names, ["/shop/db/password", "/shop/hosts", "/shop/long", "/shop/url"])
one_level = [parameter["Name"] for parameter in ssm.get_parameters_by_path(Path="/shop")["Parameters"]]
check("one level", one_level, ["/shop/hosts", "/shop/long", "/shop/url"])
several = ssm.get_parameters(Names=["/shop/url", "/shop/missing"])
check("several", [parameter["Value"] for parameter in several["Parameters"]], ["https://shop.example"])
check("invalid", several["InvalidParameters"], ["/shop/missing"])

filters = [{"Key": "Type", "Values": ["SecureString"]}, {"Key": "Name", "Option": "BeginsWith", "Values": ["/shop/d"]}]
described = ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
check("described", [entry["Name"] for entry in described], ["/shop/db/password"])
check("key", (described[0]["KeyId"], described[0]["Description"]), ("alias/aws/ssm", "database"))
check("user", described[0]["LastModifiedUser"], "arn:aws:iam::000000000000:root")
earlier = ssm.describe_parameters(Filters=[{"Key": "Name", "Values": ["/shop/u"]}])["Parameters"]
check("earlier filters", [entry["Name"] for entry in earlier], ["/shop/url"])
check("shared", ssm.describe_parameters(Shared=True)["Parameters"], [])
pages = ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 3})
check("all", len([entry for page in pages for entry in page["Parameters"]]), 4)

labeled = ssm.label_parameter_version(Name="/shop/db/password", ParameterVersion=1, Labels=["live", "1st"])
check("labeled", (labeled["InvalidLabels"], labeled["ParameterVersion"]), (["1st"], 1))
found = ssm.get_parameter(Name="/shop/db/password:live", WithDecryption=True)["Parameter"]
check("by label", (found["Value"], found["Selector"]), ("correct horse", ":live"))
history = ssm.get_parameter_history(Name="/shop/db/password", WithDecryption=True)["Parameters"]
check("history", [(entry["Version"], entry["Value"], entry["Labels"]) for entry in history],
      [(1, "correct horse", ["live"]), (2, "battery staple", [])])
removed = ssm.unlabel_parameter_version(Name="/shop/db/password", ParameterVersion=1, Labels=["live", "test"])
check("unlabeled", (removed["RemovedLabels"], removed["InvalidLabels"]), (["live"], ["test"]))

url = {"ResourceType": "Parameter", "ResourceId": "/shop/url"}
ssm.add_tags_to_resource(**url, Tags=[{"Key": "stage", "Value": "live"}])
ssm.remove_tags_from_resource(**url, TagKeys=["team"])
check("tags", ssm.list_tags_for_resource(**url)["TagList"], [{"Key": "stage", "Value": "live"}])

policies = [{"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2100-01-01T00:00:00.000Z"}}]
ssm.put_parameter(Name="/sale", Value="20", Type="String", Tier="Advanced", Policies=json.dumps(policies))
entry = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/sale"]}])["Parameters"][0]
check("policies", [(policy["PolicyType"], policy["PolicyStatus"]) for policy in entry["Policies"]], [("Expiration", "Pending")])

put = {"Name": "/x", "Value": "1", "Type": "String"}
for what, expected, call, arguments in [
    ("missing", "ParameterNotFound", "get_parameter", {"Name": "/missing"}),
    ("missing version", "ParameterVersionNotFound", "get_parameter", {"Name": "/shop/url:9"}),
    ("missing to delete", "ParameterNotFound", "delete_parameter", {"Name": "/missing"}),
    ("type", "UnsupportedParameterType", "put_parameter", {"Name": "/x", "Value": "1"}),
    ("levels", "HierarchyLevelLimitExceededException", "put_parameter", {**put, "Name": "/x" * 16}),
    ("changed type", "HierarchyTypeMismatchException", "put_parameter",
     {"Name": "/shop/url", "Value": "1", "Type": "StringList", "Overwrite": True}),
    ("pattern", "InvalidAllowedPatternException", "put_parameter", {**put, "AllowedPattern": "("}),
    ("value", "ParameterPatternMismatchException", "put_parameter", {**put, "AllowedPattern": "[a-z]+"}),
    ("key", "InvalidKeyId", "put_parameter", {**put, "Type": "SecureString", "KeyId": "alias/missing"}),
    ("policy type", "InvalidPolicyTypeException", "put_parameter", {**put, "Tier": "Advanced", "Policies": "{}"}),
    ("policy attribute", "InvalidPolicyAttributeException", "put_parameter",
     {**put, "Tier": "Advanced", "Policies": json.dumps([{**policies[0], "Attributes": {}}])}),
    ("two expirations", "IncompatiblePolicyException", "put_parameter",
     {**put, "Tier": "Advanced", "Policies": json.dumps(policies * 2)}),
    ("policies", "PoliciesLimitExceededException", "put_parameter",
     {**put, "Tier": "Advanced", "Policies": json.dumps([{}] * 11)}),
    ("standard policies", "ValidationException", "put_parameter", {**put, "Policies": json.dumps(policies)}),
    ("name", "ValidationException", "put_parameter", {**put, "Name": "/a b"}),
    ("reserved", "ValidationException", "put_parameter", {**put, "Name": "/aws/x"}),
    ("too long", "ValidationException", "put_parameter", {**put, "Value": "x" * 4097}),
    ("nested", "ValidationException", "put_parameter", {**put, "Value": "{{ssm:a}}"}),
    ("tags and overwrite", "ValidationException", "put_parameter",
     {**put, "Overwrite": True, "Tags": [{"Key": "a", "Value": "b"}]}),
    ("token", "InvalidNextToken", "describe_parameters", {"NextToken": "x"}),
    ("filter key", "InvalidFilterKey", "describe_parameters", {"ParameterFilters": [{"Key": "Label", "Values": ["x"]}]}),
    ("filter option", "InvalidFilterOption", "describe_parameters",
     {"ParameterFilters": [{"Key": "Type", "Option": "Contains", "Values": ["String"]}]}),
    ("filter value", "InvalidFilterValue", "describe_parameters",
     {"ParameterFilters": [{"Key": "Type", "Values": ["Text"]}]}),
    ("filter pattern", "ValidationException", "describe_parameters", {"ParameterFilters": [{"Key": "x", "Values": ["x"]}]}),
    ("results", "ValidationException", "get_parameters_by_path", {"Path": "/", "MaxResults": 11}),
    ("label version", "ParameterVersionNotFound", "label_parameter_version",
     {"Name": "/shop/url", "ParameterVersion": 9, "Labels": ["x"]}),
    ("negative version", "ParameterVersionNotFound", "unlabel_parameter_version",
     {"Name": "/shop/url", "ParameterVersion": -1, "Labels": ["x"]}),
    ("labels", "ParameterVersionLabelLimitExceeded", "label_parameter_version",
     {"Name": "/shop/url", "Labels": [f"label{number}" for number in range(10)]}),
    ("resource type", "InvalidResourceType", "list_tags_for_resource", {"ResourceType": "Document", "ResourceId": "x"}),
    ("resource", "InvalidResourceId", "list_tags_for_resource", {"ResourceType": "Parameter", "ResourceId": "/missing"}),
    ("tag pattern", "ValidationException", "add_tags_to_resource", {**url, "Tags": [{"Key": "a!", "Value": ""}]}),
    ("member", "ValidationException", "get_parameter", {}),
    ("unknown operation", "UnknownOperationException", "list_commands", {}),
]:
    if what == "labels":
        ssm.label_parameter_version(Name="/shop/url", Labels=["one-more"])
    check(what, code(call, **arguments), expected)
check("text", text("get_parameter", Name=""),
      "1 validation error detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater "
      "than or equal to 1")
check("sensitive", "horse" in text("put_parameter", Value="correct horse"), False)
ssm.delete_parameter(Name="/sale")
deleted = ssm.delete_parameters(Names=["/shop/url", "/missing"])
check("deleted", (deleted["DeletedParameters"], deleted["InvalidParameters"]), (["/shop/url"], ["/missing"]))
print(json.dumps({"done": botocore.__version__, "cases": cases, "problems": problems}), flush=True)
