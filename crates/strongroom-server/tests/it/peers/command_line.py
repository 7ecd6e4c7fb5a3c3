"""Runs commands of the AWS CLI in one process, which saves the time that it takes to start.

Reads one JSON list of arguments per line, and writes the exit code and both outputs of the command as JSON.
"""

import contextlib
import io
import json
import sys

from awscli import clidriver


def run(arguments):
    outputs = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with contextlib.redirect_stdout(outputs[0]), contextlib.redirect_stderr(outputs[1]):
        try:
            code = clidriver.create_clidriver().main(arguments)
        except SystemExit as end:  # the parser of arguments ends the process
            code = end.code
    stdout, stderr = (output.buffer.getvalue().decode() for output in outputs)
    return {"code": code, "stdout": stdout, "stderr": stderr}


requests, answers = sys.stdin, sys.stdout
for line in requests:
    print(json.dumps(run(json.loads(line))), file=answers, flush=True)
