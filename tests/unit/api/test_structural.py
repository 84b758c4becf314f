"""The translation of models: what each thing becomes, and that nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from secureai_operator.api import crd, rules
from secureai_operator.api.model import ApiModel, DnsLabel, Duration, LabelKey, LabelValue
from secureai_operator.api.rules import Rule
from secureai_operator.api.structural import Place, SchemaError, structural
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.core.desired.placement import PRESETS


def of(
    model: type[ApiModel], told: Mapping[str, tuple[Rule, ...]] | None = None, *, in_status: bool = False
) -> dict[str, Any]:
    properties: dict[str, Any] = structural(model, Place("spec", dict(told or {}), in_status=in_status))[
        "properties"
    ]
    return properties


class Inner(ApiModel):
    """Inside."""

    size: int = Field(default=3, ge=1, description="Size.", examples=[4])


class Outer(ApiModel):
    """Outside."""

    one: Inner = Field(default_factory=Inner, description="One.", examples=[{"size": 4}])
    many: tuple[Inner, ...] = Field(default=(), max_length=2, description="Many.", examples=[[]])
    maybe: DnsLabel | None = Field(default=None, description="Maybe.", examples=["a"])
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=2, description="Labels.")
    fixed: Literal["x"] = Field(default="x", description="Fixed.", examples=["x"])


def test_an_object_gets_its_defaults_level_by_level() -> None:
    one = of(Outer)["one"]
    assert one["default"] == {}
    assert one["properties"]["size"]["default"] == 3


def test_inside_a_list_the_default_is_told_but_not_stored() -> None:
    size = of(Outer)["many"]["items"]["properties"]["size"]
    assert "default" not in size
    assert size["description"] == "Size. Default: 3. Example: 4."


def test_a_field_that_may_be_none_is_left_out_and_never_null() -> None:
    maybe = of(Outer)["maybe"]
    assert maybe["type"] == "string"
    assert "default" not in maybe
    assert "nullable" not in maybe


def test_a_pattern_becomes_a_rule_with_the_words_of_its_type() -> None:
    (rule,) = of(Outer)["maybe"]["x-kubernetes-validations"]
    assert rule["rule"].startswith("self.matches(")
    assert rule["message"].startswith("must be a DNS label")


def test_a_rule_that_covers_the_pattern_replaces_it() -> None:
    covering = Rule("self == 'a'", "must be a", covers_pattern=True)
    assert of(Outer, {"spec.maybe": (covering,)})["maybe"]["x-kubernetes-validations"] == [covering.schema()]


def test_the_keys_and_the_values_of_a_map_are_both_checked() -> None:
    labels = of(Outer)["labels"]
    assert "self.all(key," in labels["x-kubernetes-validations"][0]["rule"]
    assert "self.matches(" in labels["additionalProperties"]["x-kubernetes-validations"][0]["rule"]


def test_a_constant_becomes_an_enum_of_one() -> None:
    assert of(Outer)["fixed"]["enum"] == ["x"]


def test_a_status_has_neither_defaults_nor_rules() -> None:
    status = of(Outer, in_status=True)
    assert all("default" not in child for child in status.values())
    assert "x-kubernetes-validations" not in str(status)


class Recursive(ApiModel):
    """Contains itself."""

    below: tuple[Recursive, ...] = Field(default=(), description="Below.")


class Union(ApiModel):
    """Either."""

    either: int | bool = Field(description="Either.")


class Tuple(ApiModel):
    """Two of different types."""

    pair: tuple[int, str] = Field(description="Pair.")


class Above(ApiModel):
    """A bound that OpenAPI says otherwise."""

    number: Annotated[int, Field(gt=0)] = Field(description="Number.")


class Anything(ApiModel):
    """A map of anything."""

    values: dict[str, Any] = Field(description="Values.")


@pytest.mark.parametrize("model", [Recursive, Union, Tuple, Above, Anything])
def test_what_cannot_be_said_is_an_error(model: type[ApiModel]) -> None:
    with pytest.raises(SchemaError, match=r"spec\."):
        of(model)


def test_a_rule_for_a_field_that_does_not_exist_is_an_error() -> None:
    broken = crd.Kind(
        kind="X",
        plural="xs",
        short_name="x",
        summary="X.",
        spec=SecureAIWorkloadSpec,
        status=Inner,
        rules={"spec.gone": (rules.NAME,)},
        columns=(),
    )
    with pytest.raises(SchemaError, match=r"spec\.gone"):
        crd.schema(broken)


class Times(ApiModel):
    """A duration."""

    wait: Duration = Field(default="1h", description="Wait.", examples=["1h"])


def test_a_duration_is_longer_than_nothing() -> None:
    (rule,) = of(Times)["wait"]["x-kubernetes-validations"]
    assert "duration(self) > duration('0s')" in rule["rule"]


def test_a_text_becomes_a_cel_literal_whatever_is_in_it() -> None:
    assert rules.cel(r"a\d'b") == r"'a\\d\'b'"


def test_the_platforms_without_a_confidential_gpu_are_those_of_the_presets() -> None:
    without = {platform for platform, preset in PRESETS.items() if preset.gpu_runtime_class is None}
    assert without == set(rules.PLATFORMS_WITHOUT_GPU)
