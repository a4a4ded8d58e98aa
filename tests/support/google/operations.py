"""google.longrunning.Operations: how far the operations of all APIs are."""

from __future__ import annotations

from typing import Any

from google.longrunning import operations_pb2
from tests.support.google import errors
from tests.support.google.rest import Call, Method


def get_operation(call: Call, request: Any) -> operations_pb2.Operation:
    """GetOperation."""
    operation = call.state.operations.get(request.name)
    if not operation:
        raise errors.not_found()
    return operation.answer


METHODS = tuple(
    Method(host, "google.longrunning.Operations", "GET", path, get_operation, operations_pb2.GetOperationRequest)
    for host, path in (
        ("artifactregistry.googleapis.com", "/v1/{name=projects/*/locations/*/operations/*}"),
        ("serviceusage.googleapis.com", "/v1/{name=operations/*}"),
    )
)
