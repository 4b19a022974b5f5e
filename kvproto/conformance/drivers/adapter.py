"""The adapter for kvproto's own driver, and an example for authors: ADAPTER.md is what it does.

kvproto check --driver -- python3 -P -m kvproto.conformance.drivers.adapter
"""

from __future__ import annotations

import base64
import json
import os
import sys

from kvproto import ExternalProgram, KVProtoError, Message


def value(given: str | dict) -> str | bytes:
    """A VALUE of the request: text, or bytes."""
    return given if isinstance(given, str) else base64.b64decode(given["base64"])


def entry(given: str | dict | list):
    return tuple(map(value, given)) if isinstance(given, list) else value(given)


def parameters(given: dict | None):
    if given is None:
        return None
    if "raw" in given:
        return value(given["raw"])
    return {value(name): value(content) for name, content in given["set"]}


def files(request: dict):
    """By their paths, which have base names; where a name is another, by names and contents."""
    others = request["files"]
    if all(os.path.basename(file["path"]) == file["name"] for file in others):
        return [request["program"], *(file["path"] for file in others)]
    contents = {}
    for name, path in [
        ("op", request["program"]),
        *((file["name"], file["path"]) for file in others),
    ]:
        with open(path, "rb") as file:
            contents[name] = file.read()
    return contents


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def texts(pairs) -> list[list[str]]:
    return [[text(key), text(content)] for key, content in pairs]


def answer(request: dict, on_message) -> dict:
    """Run the worker; the verdict, and what goes with it."""
    options = {**request["limits"], "max_item": request["max_item"], "on_message": on_message}
    if "params" in request:
        options["params"] = parameters(request["params"])
    entries = [entry(one) for one in request["entries"]]
    try:
        with ExternalProgram(files(request), **options) as worker:
            if request["mode"] == "map":
                return {
                    "verdict": "success",
                    "lists": [texts(pairs) for pairs in worker.map(entries)],
                }
            return {"verdict": "success", "pairs": texts(worker.reduce(entries))}
    except (KVProtoError, ValueError, OSError) as error:
        return {"verdict": "error", "error": str(error)}


def main() -> None:
    messages: list[dict] = []

    def on_message(message: Message) -> None:
        messages.append(
            {"kind": message.kind, "text": text(message.text), "cut": message.n_cut > 0}
        )

    said = answer(json.load(sys.stdin), on_message)
    json.dump({**said, "messages": messages}, sys.stdout)


if __name__ == "__main__":
    main()
