"""The status writer: what could not be written was not said, and what says nothing is not stored."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator import errors
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus, Trigger
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.controllers.hooks import Hooks
from secureai_operator.controllers.memory import Memories
from secureai_operator.controllers.status_json import decoded, encoded, status_body
from secureai_operator.controllers.status_writer import StatusWriter
from secureai_operator.controllers.workloads import Workloads
from tests.unit.samples import workload


def ignore(*_: object) -> None:
    """Nobody is told."""


class Away:
    """An API server that does not answer: the writer's own part is what is tested here."""

    async def json_patch(self, *_: Any, **__: Any) -> None:
        raise errors.KubeUnavailable("KubernetesUnavailable", "no answer")


async def test_what_could_not_be_written_was_not_said() -> None:
    """Or the next pass would turn a key whose target is written down nowhere."""
    item, memories = workload(), Memories()
    writer = StatusWriter(Workloads(), memories, Hooks(ignore, ignore, ignore, ignore, ignore))
    memory = memories.of(item.key, item.uid)
    before = memory.status = SecureAIWorkloadStatus(resync="1")
    planned = before.model_copy(
        update={"rotation": RotationStatus(phase=RotationPhase.PLANNED, version=1, target=2)}
    )
    with pytest.raises(errors.KubeUnavailable):
        await writer.write(item, planned, cast("ScopedKube", Away()))
    assert memory.status is before


@given(
    st.builds(
        RotationStatus,
        phase=st.sampled_from(RotationPhase),
        version=st.integers(0, 3),
        trigger=st.none() | st.sampled_from(Trigger),
        retirement_held=st.booleans(),
        blocked_reason=st.sampled_from(["", "RetirementUnproven"]),
    )
)
def test_what_is_left_out_reads_back_as_it_was(rotation: RotationStatus) -> None:
    status = SecureAIWorkloadStatus(rotation=rotation)
    body = status_body(status)
    assert SecureAIWorkloadStatus.model_validate(body) == decoded(encoded(status)) == status
    assert "phase" in body["rotation"]
    assert "raising" not in body["rotation"]
