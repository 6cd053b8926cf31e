#!/usr/bin/env python3
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stub of an engine's API: tokens at known times, in vLLM's and SGLang's words, and a log of when each was sent.

usage: python3 stub_tokens.py LOG [TTFT_SECONDS [GAP_SECONDS]]      prints its port

What it does besides is chosen by words of the model's name: reasoning, cached, numbered (its number as cached tokens), plain (no chat in
/tokenize, as SGLang), split (a byte at a time), zero (no tokens), mute (no usage), refuse (HTTP 400), echo (HTTP 401, with the key that
came), crash (an error in the stream), cut (a reset), dies (the process ends), silent, late (each gap is 10 % longer), needle (the answer is
the code in the prompt). LOG has a JSON
line per request: `got`, when the kernel had its last byte, and of each text, `due`, `sent` and `done`: when it should have gone to the
kernel, and the times before and after it went, all CLOCK_MONOTONIC; `asked` and `begins` are the request and how its prompt begins.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import os
import re
import selectors
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
TEMPLATE = 7  # tokens
LIMIT = 300_000


def tokens(text):
    """A token for each six letters of a word, and one for each line end."""
    return sum(math.ceil(len(word) / 6) for word in text.split()) + text.count("\n")


def content(body):
    if "prompt" in body:
        return body["prompt"]
    parts = [message["content"] for message in body["messages"]]
    return "".join(part if isinstance(part, str) else "".join(item["text"] for item in part) for part in parts)


class Connection:
    """One client's requests, one after the other."""

    def __init__(self, server, sock):
        self.server, self.sock, self.data, self.keep = server, sock, b"", True
        self.log = {}

    def receive(self):
        try:
            data, extra, _flags, _address = self.sock.recvmsg(1 << 20, 64)
        except OSError:
            data, extra = b"", []
        if not data:
            return self.close()
        got = time.monotonic()
        if extra:
            seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
            got -= max(0.0, time.time() - seconds - nanoseconds * 1e-9)
        self.data += data
        head, found, rest = self.data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if found and len(rest) >= int(length[1] if length else 0):
            self.data = b""
            self.keep = not re.search(rb"(?i)\r\nconnection: *close", head)
            self.key = (re.search(rb"(?i)\r\nauthorization: *(.*)", head) or [b"", b""])[1].decode().strip()
            self.answer(head.split(b" ")[1].decode(), json.loads(rest or b"{}"), got)

    def close(self):
        if self.sock.fileno() >= 0:
            self.server.selector.unregister(self.sock)
            self.sock.close()

    def send(self, data):
        try:
            self.sock.setblocking(True)
            self.sock.sendall(data)
            self.sock.setblocking(False)
        except OSError:
            self.close()

    def whole(self, status, document):
        body = json.dumps(document).encode()
        self.send(f"HTTP/1.1 {status} STUB\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        if not self.keep:
            self.close()

    def answer(self, path, body, got):
        words = set(re.findall(r"[a-z]+", body.get("model", "")))
        if path in ("/health", "/v1/models"):
            return self.whole(200, {"data": [{"id": "stub"}]})
        if path == "/tokenize":
            if "plain" in words and "messages" in body:
                return self.whole(400, {"object": "error", "message": "prompt: Field required"})
            count = tokens(content(body)) + (TEMPLATE if "messages" in body else 1 if body.get("add_special_tokens", True) else 0)
            return self.whole(200, {"count": count, "max_model_len": LIMIT, "tokens": []})
        if "refuse" in words:
            return self.whole(400, {"error": {"message": "This model's maximum context length is 10 tokens.", "code": 400}})
        if "echo" in words:
            return self.whole(401, {"error": {"message": f"found {self.key}"}})
        if "silent" in words:
            return None
        chat = "messages" in body
        body.setdefault("max_tokens", body.get("max_completion_tokens"))
        usage = {"prompt_tokens": tokens(content(body)) + (TEMPLATE if chat else 1), "completion_tokens": body["max_tokens"]}
        if not body.get("stream"):
            text = {"message": {"content": "Paris"}} if chat else {"text": "Paris"}
            return self.whole(200, {"choices": [{**text, "finish_reason": "length"}], "usage": usage})
        return self.stream(body, words, usage, chat, got)

    def stream(self, body, words, usage, chat, got):
        asked = next(self.server.numbers)
        name = f"cmpl-{asked}"
        # A schedule of its own for each, so that they do not all come at once.
        spread = self.server.gap * ((self.server.streams * 0.618) % 1)
        self.server.streams += 1
        gap = self.server.gap * (1.1 if "late" in words else 1)
        start = got + self.server.ttft + spread
        self.log = {"id": name, "model": body["model"], "got": got, "due": [], "sent": [], "done": []}
        self.log |= {"begins": content(body)[:30], "asked": {key: body[key] for key in body.keys() - {"messages", "prompt"}}}
        code = re.search(r"code for Project Aurora is ([A-Z0-9-]+)", content(body))
        count = 0 if "zero" in words else body["max_tokens"]

        def event(choices, **more):
            document = {"id": name, "object": "chunk", "created": 1, "model": body["model"], "choices": choices, **more}
            return b"data: " + json.dumps(document).encode() + b"\n\n"

        def choice(field, text, finish=None):
            part = {"delta": {field: text}} if chat else {"text": text}
            ids = {"token_ids": [1]} if body.get("return_token_ids") else {}
            return [{"index": 0, **part, **ids, "finish_reason": finish}]

        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        if chat:
            self.plan(start, head + self.chunk(event([{"index": 0, "delta": {"role": "assistant", "content": ""}}])), False)
        else:
            self.plan(start, head, False)
        for number in range(count):
            text = code[1] if code and "needle" in words and number == count - 1 else f" w{number}"
            field = "reasoning_content" if "plain" in words else "reasoning"
            field = field if "reasoning" in words and number < count // 2 else "content"
            last = number == count - 1
            data = self.chunk(event(choice(field, text, "length" if last else None)))
            if number == count // 2 and words & {"cut", "dies"}:
                return self.plan(start + gap * number, "cut" if "cut" in words else "dies", False)
            if number == count // 2 and "crash" in words:
                error = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
                data = b"data: " + json.dumps(error).encode() + b"\n\ndata: [DONE]\n\n"
                return self.plan(start + gap * number, self.chunk(data) + b"0\r\n\r\n", False)
            if "split" in words:
                for byte in data[:-1]:
                    self.plan(start + gap * number, bytes([byte]), False)
                data = data[-1:]
            self.plan(start + gap * number, data, True)
        tail = b""
        if "mute" not in words:
            usage["completion_tokens"] = count
            if words & {"cached", "numbered"}:
                usage["prompt_tokens_details"] = {"cached_tokens": asked if "numbered" in words else 16}
            tail = self.chunk(event([], usage=usage))
        end = start + gap * max(0, count - 1)
        return self.plan(end, tail + self.chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n", None)

    @staticmethod
    def chunk(data):
        return b"%x\r\n%s\r\n" % (len(data), data)

    def plan(self, due, data, text):
        heapq.heappush(self.server.due, (due, next(self.server.order), self, data, text))

    def act(self, due, data, text):
        if self.sock.fileno() < 0:
            return
        if data == "dies":
            os._exit(1)
        if data == "cut":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()
            return
        if text:
            self.log["due"].append(due)
            self.log["sent"].append(time.monotonic())
        self.send(data)
        if text:
            self.log["done"].append(time.monotonic())
        if text is None:
            self.server.note(self.log)
            if not self.keep:
                self.close()


class Server:
    """All of it in one thread: what is due is sent, then what has come is read."""

    def __init__(self, log, ttft=0.05, gap=0.01):
        self.log, self.ttft, self.gap, self.streams = log, float(ttft), float(gap), 0
        self.numbers, self.order, self.due = itertools.count(), itertools.count(), []
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setblocking(False)
        self.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # its connections have it, too
        self.selector.register(self.listener, selectors.EVENT_READ)

    def note(self, log):
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(log) + "\n")

    def serve(self):
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            for key, _events in self.selector.select(wait):
                if key.data:
                    key.data.receive()
                    continue
                sock, _address = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                self.selector.register(sock, selectors.EVENT_READ, Connection(self, sock))
            while self.due and self.due[0][0] <= time.monotonic():
                due, _order, connection, data, text = heapq.heappop(self.due)
                connection.act(due, data, text)


if __name__ == "__main__":
    server = Server(*sys.argv[1:])
    print(server.listener.getsockname()[1], flush=True)
    server.serve()
