# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""[INTERNAL] Faces of module_utils for this collection's own roles. Not for use outside of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils import (
    _checks,
    _cluster,
    _fanout,
    _hardware_checks,
    _image,
    _manifest,
    _mods,
    _nightly,
    _node_part,
    _options,
    _overview,
    _plan,
    _preflight,
    _probe_checks,
    _probes,
    _rank_checks,
    _recipe,
    _weights,
    _weights_report,
)


class FilterModule:
    """Filters named after the functions that they call."""

    def filters(self) -> dict[str, Any]:
        return {
            "answered": _checks.answered,
            "api_checks": _checks.api_checks,
            "checks_text": lambda result: "\n".join(_checks.lines(result["checks"])),
            "container_checks": _checks.container_checks,
            "docker_parameters": _options.parameters,
            "engine_labels": _node_part.labels,
            "engine_part": _node_part.part,
            "engine_runs": _node_part.runs,
            "evidence_checks": _checks.evidence_checks,
            "fanout_plan": _fanout.plan,
            "files_digest": _manifest.digest,
            "hardware_warnings": _hardware_checks.warnings,
            "image_differs": lambda one, other: [one.get(key) for key in ("id", "layers")] != [other.get(key) for key in ("id", "layers")],
            "image_foreign": _image.foreign,
            "image_metadata": _image.metadata,
            "image_problems": _image.problems,
            "image_recovery": _image.recovery,
            "image_room": _image.room,
            "image_sbom": _image.sbom,
            "mod_checks": _mods.checks,
            "mod_questions": _mods.questions,
            "nightly_free": _nightly.free,
            "nightly_report": _nightly.report,
            "nightly_text": _nightly.text,
            "node_problems": _preflight.node_problems,
            "membership_checks": _checks.membership_checks,
            "probe_checks": _probe_checks.checks,
            "probe_requests": _probes.requests,
            "profile_table": _overview.table,
            "rank_checks": _rank_checks.rank_checks,
            "boot_facts": _rank_checks.boot_facts,
            "record_differs": _checks.record_differs,
            "rollback_record": _checks.rollback_record,
            "other_format": _plan.other_format,
            "recipe_profile": _recipe.convert,
            "result_document": _checks.document,
            "result_text": _checks.text,
            "served_record": _checks.served_record,
            "setting": _cluster.setting,
            "start_problems": _node_part.start_problems,
            "weights_differences": _weights.differences,
            "weights_document": _weights.of_models,
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
