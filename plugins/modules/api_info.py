# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: api_info
short_description: Ask an OpenAI-compatible server what it serves, and for one answer
version_added: 0.1.0
description:
  - Health, models, one chat completion, the caller's probes and the metrics, as evidence; the caller judges.
author: [GX10 Serving contributors (@gx10)]
options:
  url:
    description: Base URL, http://HOST:PORT and nothing else, for example V(http://10.0.0.1:8000). Redirects are not followed.
    type: str
    required: true
  served_name:
    description: The model to ask.
    type: str
    required: true
  prompt:
    description: The user's message.
    type: str
    default: Say hello in one short sentence.
  max_tokens:
    description: Length of the answer in tokens.
    type: int
    default: 32
  timeout:
    description: Seconds that the completion may take.
    type: float
    default: 120
  probes:
    description: "Further questions, four at a time: name, path below O(url), and body, which is posted as JSON."
    type: list
    elements: dict
    default: []
  probe_timeout:
    description: Seconds that the answer to one probe may take.
    type: float
    default: 600
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Ask the model
  gx10.serving.api_info:
    url: http://192.168.1.11:8000
    served_name: Qwen3.5-397B-A17B-FP8
"""

RETURN = r"""
health:
  description: Status of C(/health); 0 where nothing answered.
  type: int
  returned: always
models:
  description: Model names of C(/v1/models).
  type: list
  elements: str
  returned: always
chat:
  description: "status, text (content or reasoning), error, seconds, usage."
  type: dict
  returned: always
probes:
  description: "By name: status (0 where nothing answered), error, seconds, and answer, the JSON object that came."
  type: dict
  returned: always
metrics:
  description: Prometheus samples whose names begin with C(vllm:) or C(sglang:), summed over labels.
  type: dict
  returned: always
"""

import concurrent.futures
import contextlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

NODE_URL = re.compile(r"http://(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):[0-9]{1,5}")

# The node talks to itself over HTTP: no file, no other scheme, no other address that an answer names, no proxy of the environment.
OPENER = urllib.request.OpenerDirector()
for handler in (urllib.request.HTTPHandler, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor):
    OPENER.add_handler(handler())
# Of an answer; the metrics of a busy engine have some 100 KiB.
LARGEST = 16 * 1024**2


def ask(url: str, timeout: float, body: Any = None) -> tuple[int, str]:
    """(status, body) of a GET, or of a POST of JSON; status 0 and the error where nothing answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=timeout) as answer:
            text = answer.read(LARGEST)
            if answer.length and len(text) < LARGEST:  # bytes that were promised and did not come
                raise http.client.IncompleteRead(text, answer.length)
            return answer.status, text.decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        # What it says beside its code may be cut off with it.
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return error.code, error.read(LARGEST).decode("utf-8", "replace")
        return error.code, ""
    # An answer that is cut, or no HTTP, is neither an OSError nor a ValueError.
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__


def parsed(text: str) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def metrics(text: str) -> dict[str, float]:
    """Sum each vllm: or sglang: sample over its labels."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(("vllm:", "sglang:")):
            name = line.split("{")[0].split(" ")[0]
            if not name.endswith("_bucket"):
                with contextlib.suppress(ValueError):  # of a line that is cut
                    found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found


def chat(params: dict[str, Any]) -> dict[str, Any]:
    """One chat completion, greedy."""
    body = {
        "model": params["served_name"],
        "messages": [{"role": "user", "content": params["prompt"]}],
        "max_tokens": params["max_tokens"],
        "temperature": 0,
    }
    started = time.monotonic()
    status, text = ask(f"{params['url']}/v1/chat/completions", params["timeout"], body)
    answer = parsed(text)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice["message"] if isinstance(choice.get("message"), dict) else {}
    said = message.get("content") or message.get("reasoning") or message.get("reasoning_content") or ""
    return {
        "status": status,
        "text": said if isinstance(said, str) else json.dumps(said),
        "error": "" if status == 200 else text[:500],
        "seconds": round(time.monotonic() - started, 3),
        "usage": answer.get("usage") or {},
    }


def probe(url: str, timeout: float, body: Any) -> dict[str, Any]:
    """One question of the caller's."""
    started = time.monotonic()
    status, text = ask(url, timeout, body)
    return {
        "status": status,
        "error": "" if status == 200 else text[:500],
        "seconds": round(time.monotonic() - started, 3),
        "answer": parsed(text) if status == 200 else {},
    }


def probe_all(url: str, timeout: float, probes: list[dict[str, Any]]) -> dict[str, Any]:
    """Answers by name, four questions at a time: a reasoning model takes its time for each."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        futures = {item["name"]: pool.submit(probe, url + item["path"], timeout, item["body"]) for item in probes}
        return {name: future.result() for name, future in futures.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "served_name": {"type": "str", "required": True},
            "prompt": {"type": "str", "default": "Say hello in one short sentence."},
            "max_tokens": {"type": "int", "default": 32, "no_log": False},
            "timeout": {"type": "float", "default": 120},
            "probes": {"type": "list", "elements": "dict", "default": []},
            "probe_timeout": {"type": "float", "default": 600},
        },
        supports_check_mode=True,
    )
    url = module.params["url"]
    if not NODE_URL.fullmatch(url):
        module.fail_json(msg=f"url: found {ascii(url)[:200]}; wanted http://HOST:PORT of this node")
    health, _text = ask(f"{url}/health", 10)
    _status, models = ask(f"{url}/v1/models", 10)
    answer = chat(module.params)
    # A server that did not answer one question is not asked ten more, each with its own time-out.
    probes = probe_all(url, module.params["probe_timeout"], module.params["probes"] if answer["status"] == 200 else [])
    _status, exposition = ask(f"{url}/metrics", 10)
    module.exit_json(
        changed=False,
        health=health,
        models=[item.get("id") for item in parsed(models).get("data") or []],
        chat=answer,
        probes=probes,
        metrics=metrics(exposition),
    )


if __name__ == "__main__":
    main()
