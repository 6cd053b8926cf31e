# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What llama-benchy and guidellm say of the stub, in the environment of one of them: bench_others.py NAME PORT STREAMS ROUNDS TOKENS.

Prints a JSON list: id (the stub's, or the model's name that it was asked for), start and arrivals in seconds. guidellm runs as it comes, in
its processes; it keeps the first and the last token of a request. llama-benchy's command needs a tokenizer and a book from the network, so
that its client's own measuring code is called as its runner calls it: one session, all requests gathered.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROMPT = "Tell a long story, number {}, about the sea, the island and the people there."


async def llama_benchy(port: str, streams: int, rounds: int, count: int) -> list[dict[str, Any]]:
    import aiohttp
    from llama_benchy.client import LLMClient

    found = []
    connector = aiohttp.TCPConnector(limit=streams + 5, force_close=False, keepalive_timeout=600)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3600), connector=connector, trust_env=True) as session:
        for number in range(rounds):
            names = [f"stub-{number * streams + stream}" for stream in range(streams)]
            clients = [LLMClient(f"http://127.0.0.1:{port}/v1", "none", name, exact_tg=True) for name in names]
            results = await asyncio.gather(
                *(client.run_generation(session, "", PROMPT.format(name), count, False) for client, name in zip(clients, names))
            )
            found += [
                {"id": name, "start": result.start_ts, "arrivals": result.token_timestamps, "error": result.error or ""}
                for name, result in zip(names, results)
            ]
    return found


def guidellm(port: str, streams: int, rounds: int, count: int) -> list[dict[str, Any]]:
    requests = streams * rounds
    Path("prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": PROMPT.format(number), "output_tokens_count": count}) + "\n" for number in range(requests))
    )
    backend = f"kind=openai_http,target=http://127.0.0.1:{port},model=stub,request_format=/v1/chat/completions"
    subprocess.run(
        [
            str(Path(sys.executable).with_name("guidellm")), "run", "--backend", backend, "--profile", f"kind=concurrent,streams={streams}",
            "--constraint", f"kind=max_requests,count={requests}", "--data", "kind=json_file,path=prompts.jsonl",
            "--output", "kind=json,path=guidellm.json", "--disable-console",
        ],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    requests_ = json.loads(Path("guidellm.json").read_text())["benchmarks"][0]["requests"]
    timings = [(item["response_id"], item["info"]["timings"]) for item in requests_["successful"]]
    return [
        {"id": name, "start": one["request_start"], "arrivals": [one["first_token_iteration"], one["last_token_iteration"]], "error": ""}
        for name, one in timings
    ]


if __name__ == "__main__":
    name, port, *numbers = sys.argv[1:]
    arguments = [int(number) for number in numbers]
    print(json.dumps(asyncio.run(llama_benchy(port, *arguments)) if name == "llama-benchy" else guidellm(port, *arguments)))
