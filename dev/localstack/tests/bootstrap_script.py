"""A function that does what its event says; the tests pack it as `bootstrap`."""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def call(path, body=None):
    with urllib.request.urlopen(
        urllib.request.Request(f"{API}/{path}", data=body), timeout=None
    ) as response:
        return response.headers, response.read()


def act(event):
    match event:
        case {"do": "exit", "code": code}:
            os._exit(code)
        case {"do": "sleep", "seconds": seconds}:
            time.sleep(seconds)
        case {"do": "fail"}:
            raise ValueError("as asked")
        case {"do": "print", "text": text}:
            print(text, flush=True)
        case {"do": "answer", "bytes": size}:
            return "x" * size
        case {"do": "call", "service": service, "operation": operation, "arguments": arguments}:
            import boto3

            getattr(boto3.client(service), operation)(**arguments)
        case {"do": "environment"}:
            return dict(os.environ)
        case {"Records": records} if "SINK" in os.environ:
            with Path(os.environ["SINK"]).open("a") as sink:
                sink.writelines(json.dumps(record) + "\n" for record in records)
    return {"pid": os.getpid(), "event": event}


if os.environ.get("INIT") == "exit":
    sys.exit(3)
if os.environ.get("INIT") == "error":
    call(
        "init/error",
        json.dumps({"errorType": "Init.Bad", "errorMessage": "no configuration"}).encode(),
    )
    sys.exit(1)

while True:
    headers, event = call("invocation/next")
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        call(f"invocation/{request}/response", json.dumps(act(json.loads(event))).encode())
    except ValueError as error:
        call(
            f"invocation/{request}/error",
            json.dumps({"errorType": "ValueError", "errorMessage": str(error)}).encode(),
        )
