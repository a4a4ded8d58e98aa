"""google.longrunning.Operations: how far the operations of all APIs are."""

from __future__ import annotations

import time
from typing import Any

from google.longrunning import operations_pb2
from tests.support.google import errors
from tests.support.google.rpc import Call, Method, Service

_MAX_WAIT = 30.0
"""Seconds that WaitOperation waits at most; Google's documentation names no limit."""


def get_operation(call: Call, request: Any) -> operations_pb2.Operation:
    """GetOperation."""
    operation = call.state.operations.get(request.name)
    if not operation:
        raise errors.not_found()
    return operation.answer


def wait_operation(call: Call, request: Any) -> operations_pb2.Operation:
    """WaitOperation: waits until it is done, or as long as is asked."""
    get_operation(call, request)
    left = call.state.operations[request.name].ready - time.monotonic()
    asked = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _MAX_WAIT
    call.state.ended.wait(max(0.0, min(left, asked, _MAX_WAIT)))
    call.state.settle()
    return get_operation(call, request)


SERVICES = (
    Service(
        "google.longrunning.Operations",
        "longrunning.googleapis.com",
        {
            "GetOperation": Method(get_operation, operations_pb2.GetOperationRequest, operations_pb2.Operation),
            "WaitOperation": Method(wait_operation, operations_pb2.WaitOperationRequest, operations_pb2.Operation),
        },
    ),
)
