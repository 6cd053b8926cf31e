# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""[INTERNAL] Faces of module_utils for this collection's own roles. Not for use outside of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.phases import (
    _actions,
    _engine,
    _engine_actions,
    _fanout,
    _gate,
    _image,
    _image_actions,
    _mods,
    _nightly,
    _probe_checks,
    _rank_checks,
    _weights,
    _weights_report,
)
from ansible_collections.gx10.serving.plugins.module_utils.plan import _catalogue, _inventory, _options, _probes, _recipe, _resolve
from ansible_collections.gx10.serving.plugins.module_utils.plan import _weights as _plan_weights


class FilterModule:
    """Filters named after the functions that they call."""

    def filters(self) -> dict[str, Any]:
        return {
            "answered": _gate.answered,
            "api_checks": _gate.api_checks,
            "checks_text": lambda result: "\n".join(_gate.lines(result["checks"])),
            "container_checks": _gate.container_checks,
            "docker_parameters": _options.parameters,
            "engine_labels": _engine.labels,
            "engine_part": _engine.part,
            "engine_parts": _engine.parts,
            "engine_decide": _engine_actions.decide,
            "actions_text": lambda actions: "\n".join(_actions.lines(actions)) or "Nothing differs from the plan.",
            "evidence_checks": _gate.evidence_checks,
            "fanout_plan": _fanout.plan,
            "files_digest": _manifest.digest,
            "image_differs": lambda one, other: [one.get(key) for key in ("id", "layers")] != [other.get(key) for key in ("id", "layers")],
            "image_foreign": _image.foreign,
            "image_metadata": _image.metadata,
            "image_problems": _image.problems,
            "image_asked": _image_actions.asked,
            "image_decide": lambda image, looks, contexts, archived, wish: _image_actions.decide(
                image, looks, contexts, archived, _image_actions.Wish(**wish)
            ),
            "image_verified": _image_actions.verified,
            "image_sbom": _image.sbom,
            "mod_checks": _mods.checks,
            "mod_questions": _mods.questions,
            "nightly_free": _nightly.free,
            "nightly_report": _nightly.report,
            "nightly_text": _nightly.text,
            "membership_checks": _gate.membership_checks,
            "probe_checks": _probe_checks.checks,
            "probe_requests": _probes.requests,
            "profile_table": _catalogue.table,
            "rank_checks": _rank_checks.rank_checks,
            "boot_facts": _rank_checks.boot_facts,
            "record_differs": _gate.record_differs,
            "rollback_record": _gate.rollback_record,
            "other_format": _resolve.other_format,
            "recipe_profile": _recipe.convert,
            "result_document": _gate.document,
            "result_text": _gate.text,
            "served_record": _gate.served_record,
            "head": lambda hosts, hostvars: _inventory.head(hostvars, hosts),
            "setting": _inventory.setting,
            "start_problems": _engine.start_problems,
            "weights_differences": _weights.differences,
            "weights_document": _plan_weights.of_models,
            "weights_downloaded": _weights.downloaded,
            "weights_lacks": _weights.lacks,
            "weights_nowhere": _weights.nowhere,
            "weights_other_content": _weights.other_content,
            "weights_overview": _weights_report.overview,
            "weights_removal": _weights_report.removal_problems,
            "weights_room": _weights_report.room,
            "weights_truth": _weights.truth,
            "weights_used": _weights_report.users,
            "weights_verdict": _weights_report.verdict,
        }
