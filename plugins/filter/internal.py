# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""[INTERNAL] Faces of module_utils for this collection's own roles. Not for use outside of it."""

from __future__ import annotations

from pathlib import Path
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
    _rollback,
    _weights,
    _weights_report,
)
from ansible_collections.gx10.serving.plugins.module_utils.plan import (
    _catalogue,
    _commands,
    _inventory,
    _pins,
    _probes,
    _recipe,
    _resolve,
    _sources,
)
from ansible_collections.gx10.serving.plugins.module_utils.plan import _weights as _plan_weights


class FilterModule:
    """Filters named after the functions that they call."""

    def filters(self) -> dict[str, Any]:
        return {
            "_answered": _gate.answered,
            "_api_checks": _gate.api_checks,
            "_checks_text": lambda result: "\n".join(_gate.lines(result["checks"])),
            "_container_checks": _gate.container_checks,
            "_docker_parameters": _commands.parameters,
            "_engine_labels": _engine.labels,
            "_engine_part": _engine.part,
            "_engine_parts": _engine.parts,
            "_engine_decide": _engine_actions.decide,
            "_engine_replaces": _engine_actions.replaces,
            "_engine_heals": _engine.heals,
            "_engine_waits": _engine_actions.waits,
            "_actions_text": lambda actions: "\n".join(_actions.lines(actions)) or "Nothing differs from the plan.",
            "_evidence_checks": _gate.evidence_checks,
            "_folder": _sources.absolute,
            "_fanout_plan": _fanout.plan,
            "_files_digest": _manifest.digest,
            "_image_differs": lambda one, other: [one.get(key) for key in ("id", "layers")] != [other.get(key) for key in ("id", "layers")],
            "_image_foreign": _image.foreign,
            "_image_lacking": _image_actions.lacking,
            "_image_metadata": _image.metadata,
            "_image_pins": _image.pins,
            "_code_file": _pins.code_file,
            "_pins_folder": _inventory.pins,
            "_image_problems": _image.problems,
            "_image_asked": _image_actions.asked,
            "_image_decide": lambda image, looks, contexts, archived, wish: _image_actions.decide(
                image, looks, contexts, archived, _image_actions.Wish(**wish)
            ),
            "_image_verified": _image_actions.verified,
            "_image_sbom": _image.sbom,
            "_mod_checks": _mods.checks,
            "_mod_questions": _mods.questions,
            "_nightly_free": _nightly.free,
            "_nightly_report": _nightly.report,
            "_nightly_text": _nightly.text,
            "_membership_checks": _gate.membership_checks,
            "_probe_checks": _probe_checks.checks,
            "_probe_requests": _probes.requests,
            "_profile_table": _catalogue.table,
            "_rank_checks": _rank_checks.rank_checks,
            "_boot_facts": _rank_checks.boot_facts,
            "_record_files": _gate.record_files,
            "_rollback_differing": _rollback.differing,
            "_rollback_kept": _rollback.kept,
            "_rollback_kept_file": _rollback.kept_file,
            "_rollback_misformed": _rollback.misformed,
            "_rollback_record": _rollback.choose,
            "_rollback_unconfirmed": _rollback.unconfirmed,
            "_other_format": _resolve.other_format,
            "_recipe_profile": lambda path, date: _recipe.convert(_sources.text(Path(_sources.absolute(path))), _sources.schema(), date),
            "_result_document": _gate.document,
            "_result_text": _gate.text,
            "_served_record": _gate.served_record,
            "_head": lambda hosts, hostvars: _inventory.head(hostvars, hosts),
            "_setting": _inventory.setting,
            "_sources_of_weights": _inventory.weights_sources,
            "_start_problems": _engine.start_problems,
            "_unstopped": _engine.unstopped,
            "_weights_differences": _weights.differences,
            "_weights_document": _plan_weights.of_models,
            "_weights_downloaded": _weights.downloaded,
            "_weights_hash": lambda manifests: _weights.joined({repo: manifest["hash"] for repo, manifest in manifests.items()}),
            "_weights_lacks": _weights.lacks,
            "_weights_nowhere": _weights.nowhere,
            "_weights_other_content": _weights.other_content,
            "_weights_overview": _weights_report.overview,
            "_weights_removal": _weights_report.removal_problems,
            "_weights_room": _weights_report.room,
            "_weights_truth": _weights.truth,
            "_weights_used": _weights_report.users,
            "_weights_verdict": _weights_report.verdict,
        }
