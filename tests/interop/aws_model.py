#!/usr/bin/env python3
"""Prints the requests of AWS KMS as JSON, from the model that botocore contains. With arguments, prints those of another
service: its name, and the names of operations.

The result has the version of botocore and, for each operation, an object of its members. A member has a type, and
what applies of: required, sensitive, min, max, pattern, enum, member (of a list), key and value (of a map), members
(of a structure).
"""

import json
import sys

import botocore
import botocore.loaders

SERVICE, *WANTED = sys.argv[1:] or ["kms"]
MODEL = botocore.loaders.Loader().load_service_model(SERVICE, "service-2")
SHAPES = MODEL["shapes"]


def described(name):
    shape = SHAPES[name]
    kind = shape["type"]
    bounds = {"min": shape.get("min", 0), "max": shape.get("max")}
    sensitive = shape.get("sensitive", False)
    known = {"type", "min", "max", "pattern", "enum", "sensitive", "required", "members", "member", "key", "value"}
    unknown = set(shape) - known - {"documentation", "deprecated", "deprecatedMessage"}
    assert not unknown, f"{name} has {unknown}"
    if kind == "structure":
        return {"type": kind, "members": members(shape)}
    if kind == "list":
        return {"type": kind, **bounds, "member": described(shape["member"]["shape"])}
    if kind == "map":
        assert bounds == {"min": 0, "max": None}, name
        return {"type": kind, "key": unbounded(shape["key"]["shape"]), "value": unbounded(shape["value"]["shape"])}
    if "enum" in shape:
        assert kind == "string" and not sensitive and "pattern" not in shape, name
        return {"type": kind, "enum": shape["enum"]}
    if kind == "string":
        return {"type": kind, **bounds, "pattern": shape.get("pattern"), "sensitive": sensitive}
    if kind == "blob":
        return {"type": kind, **bounds, "sensitive": sensitive}
    if kind == "integer":
        return {"type": kind, **bounds}
    if kind == "long":
        assert bounds == {"min": 0, "max": None}, name
        return {"type": "integer", "min": -(2**63), "max": 2**63 - 1}
    assert kind in ("boolean", "timestamp") and bounds == {"min": 0, "max": None}, name
    return {"type": kind}


def unbounded(name):
    shape = described(name)
    assert shape == {"type": "string", "min": 0, "max": None, "pattern": None, "sensitive": False}, name
    return {"type": "string"}


def members(shape):
    required = shape.get("required", [])
    return {
        name: {**described(member["shape"]), "required": name in required} for name, member in shape["members"].items()
    }


operations = {
    name: members(SHAPES[operation["input"]["shape"]])
    for name, operation in MODEL["operations"].items()
    if not WANTED or name in WANTED
}
print(json.dumps({"botocore": botocore.__version__, "operations": operations}))
