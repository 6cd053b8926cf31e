# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reasoning parser nemotron_v3, for engines that lack it: DeepSeek-R1's, and text without a thought is no thought.

Runs inside the engine.
"""

from __future__ import annotations

from typing import Any

from vllm.reasoning.deepseek_r1_reasoning_parser import DeepSeekR1ReasoningParser


class NemotronV3ReasoningParser(DeepSeekR1ReasoningParser):  # type: ignore[misc]
    """With thinking switched off the whole answer is content."""

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        reasoning, content = super().extract_reasoning(model_output, request)
        options = getattr(request, "chat_template_kwargs", None) or {}
        off = options.get("enable_thinking") is False or options.get("force_nonempty_content") is True
        return (None, reasoning) if off and content is None else (reasoning, content)
