"""When Vault is read again although the last look is young: the write that was to say what it saw failed."""

from __future__ import annotations

from dataclasses import replace

from secureai_operator.api import reasons
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.controllers.memory import Memory
from secureai_operator.controllers.workload import _is_forgotten
from secureai_operator.core.verdict import bad, good
from tests.unit.controllers.test_assessment import ready_workload


def test_a_status_that_could_not_be_written_makes_no_data_key_look_lost() -> None:
    item = ready_workload()
    memory = Memory(item.uid, vault_verdict=good(reasons.KEY_AVAILABLE))
    assert not _is_forgotten(item, memory)
    assert _is_forgotten(replace(item, status=SecureAIWorkloadStatus()), memory)


def test_a_key_that_is_not_there_is_not_looked_for_at_every_pass() -> None:
    item = replace(ready_workload(), status=SecureAIWorkloadStatus())
    assert not _is_forgotten(item, Memory(item.uid, vault_verdict=bad(reasons.KEY_LOST)))
    assert not _is_forgotten(item, Memory(item.uid))
