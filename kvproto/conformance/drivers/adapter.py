"""The adapter for kvproto's own driver, and an example for authors of others (ADAPTER.md).

kvproto check --driver -- python3 -P -m kvproto.conformance.drivers.adapter
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from kvproto import ExternalProgram, KVProtoError, Message

Document = dict[str, Any]
Value = str | dict[str, str]


def value(document: Value) -> str | bytes:
    """Decode a VALUE of the request: text, or bytes."""
    return document if isinstance(document, str) else base64.b64decode(document["base64"])


def entry(document: Value | list[Value]) -> Any:
    """Decode an entry of the input: a pair, or a value alone."""
    return tuple(map(value, document)) if isinstance(document, list) else value(document)


def parameters(document: Document | None) -> Any:
    """Decode the parameters: one string, a set, or None."""
    if document is None:
        return None
    if "raw" in document:
        return value(document["raw"])
    return {value(name): value(content) for name, content in document["set"]}


def files(request: Document) -> list[str] | dict[str, bytes]:
    """List the paths of the files, or map names to contents if a path has another name."""
    supporting = request["files"]
    if all(os.path.basename(file["path"]) == file["name"] for file in supporting):
        return [request["program"], *(file["path"] for file in supporting)]
    paths = [("op", request["program"]), *((file["name"], file["path"]) for file in supporting)]
    contents = {}
    for name, path in paths:
        with open(path, "rb") as file:
            contents[name] = file.read()
    return contents


def text(data: bytes) -> str:
    """Encode bytes in base64."""
    return base64.b64encode(data).decode()


def texts(pairs: Iterable[tuple[bytes, bytes]]) -> list[list[str]]:
    """Encode pairs in base64."""
    return [[text(key), text(content)] for key, content in pairs]


def answer(request: Document, on_message: Callable[[Message], object]) -> Document:
    """Run the worker, and return the verdict with the results or the error."""
    options = {**request["limits"], "max_item": request["max_item"], "on_message": on_message}
    if request["mode"] == "map":
        options["pinpoint"] = False  # the cases count what the worker does
    if "params" in request:
        options["params"] = parameters(request["params"])
    entries = [entry(one) for one in request["entries"]]
    try:
        with ExternalProgram(files(request), **options) as worker:
            if request["mode"] == "map":
                lists = [texts(pairs) for pairs in worker.map(entries)]
                return {"verdict": "success", "lists": lists}
            return {"verdict": "success", "pairs": texts(worker.reduce(entries))}
    except (KVProtoError, ValueError, OSError) as error:
        return {"verdict": "error", "error": str(error)}


def main() -> None:
    """Read the request from stdin, and write the answer to stdout."""
    messages: list[Document] = []

    def on_message(message: Message) -> None:
        messages.append(
            {"kind": message.kind, "text": text(message.text), "cut": message.n_cut > 0}
        )

    result = answer(json.load(sys.stdin), on_message)
    json.dump({**result, "messages": messages}, sys.stdout)


if __name__ == "__main__":
    main()
