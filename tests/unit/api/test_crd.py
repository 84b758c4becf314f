"""The CRDs: what is committed is what the models say, every field is explained, and the schema is structural."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secureai_operator import names
from secureai_operator.api import crd
from secureai_operator.cli import crds, docs

ROOT = Path(__file__).parents[3]
KINDS = pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.kind)

FORBIDDEN = {
    "$ref", "$defs", "definitions", "title", "examples", "const", "anyOf", "oneOf", "allOf", "not", "nullable",
    "uniqueItems", "exclusiveMinimum", "exclusiveMaximum", "prefixItems", "patternProperties", "propertyNames", "pattern",
}  # fmt: skip
"""What the API server refuses in a structural schema, what would admit null, and what speaks in regular expressions."""

UNITS = re.compile(
    r"hours, minutes and seconds|\bbits?\b|\b(milli)?seconds?\b|\bper second\b|\b[Vv]ersions?\b|\bports?\b|\b[Pp]ods\b"
    r"|\bgeneration\b|\bRotations\b|\b[Ww]orkloads\b|\bhigher wins\b",
)


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every property below the schema with its path and whether its owner requires it."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        if here == "metadata":
            continue
        yield here, child, name in schema.get("required", [])
        yield from fields(child, here)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from fields(schema[key], f"{path}[]")


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below this one, itself included."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}".removeprefix("."))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from schemas(schema[key], f"{path}[]")


def test_the_committed_crds_are_the_generated_ones() -> None:
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "crds").glob("*.yaml")}
    assert committed == crds.files(), "run `make generate`"


def test_the_committed_reference_is_the_generated_one() -> None:
    for name, text in docs.files().items():
        assert (ROOT / "docs" / name).read_text("utf-8") == text, "run `make generate`"


@KINDS
def test_every_field_says_what_it_is_its_default_and_an_example(kind: crd.Kind) -> None:
    unclear = [
        f"{path}: {child.get('description')}"
        for path, child, required in fields(crd.schema(kind))
        if not _is_explained(child.get("description", ""), required or path in {"apiVersion", "kind"})
    ]
    assert unclear == []


def _is_explained(description: str, required: bool) -> bool:
    """A sentence, then whether it is required or its default, then an example."""
    said = r" Required\. " if required else r"\bDefault: [^.].*\. "
    return re.fullmatch(rf"[A-Z`].*[.;].*{said}Example: .+\.", description) is not None


@KINDS
def test_every_quantity_says_its_unit(kind: crd.Kind) -> None:
    unitless = [
        path
        for path, child, _ in fields(crd.schema(kind))
        if (child.get("type") == "integer" or _is_duration(child)) and not UNITS.search(child["description"])
    ]
    assert unitless == []


def _is_duration(schema: dict[str, Any]) -> bool:
    return any("duration(self)" in rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))


@KINDS
def test_the_schema_is_structural(kind: crd.Kind) -> None:
    for path, schema in schemas(crd.schema(kind)):
        assert not FORBIDDEN & schema.keys(), path
        assert ("type" in schema) != bool(schema.get("x-kubernetes-int-or-string")), path
        assert not {"properties", "additionalProperties"} <= schema.keys(), path
        if schema.get("type") == "array":
            assert "items" in schema, path


@KINDS
def test_everything_that_a_user_writes_is_bounded(kind: crd.Kind) -> None:
    bounds = {"string": "maxLength", "array": "maxItems"}
    spec = crd.schema(kind)["properties"]["spec"]
    for path, schema in schemas(spec, "spec"):
        bound = "maxProperties" if "additionalProperties" in schema else bounds.get(schema.get("type", ""))
        assert bound is None or bound in schema or "enum" in schema, path


@KINDS
def test_defaults_are_stored_except_where_lists_are_compared_as_a_whole(kind: crd.Kind) -> None:
    for path, schema in schemas(crd.schema(kind)):
        if "[]" in path:
            assert "default" not in schema, path
    for path, schema in schemas(crd.schema(kind)["properties"]["status"], "status"):
        assert ("default" in schema) == (path == "status"), path


@KINDS
def test_every_list_says_how_it_is_merged(kind: crd.Kind) -> None:
    spec = crd.schema(kind)["properties"]["spec"]
    unsaid = [
        path
        for path, schema in schemas(spec, "spec")
        if schema["type" if "type" in schema else "x-kubernetes-int-or-string"] == "array"
        and "x-kubernetes-list-type" not in schema
    ]
    assert unsaid == []


@KINDS
def test_every_rule_tells_people_what_to_do(kind: crd.Kind) -> None:
    for path, schema in schemas(crd.schema(kind)):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert "\n" not in rule["message"], path
            assert 20 <= len(rule["message"]) <= 300, path
            assert not re.search(r"\bself\b|\^|\\|\$", rule["message"]), f"{path}: speaks CEL, not English"


@KINDS
def test_conditions_can_be_merged_by_type(kind: crd.Kind) -> None:
    conditions = crd.schema(kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_the_names_are_those_that_people_type() -> None:
    words = {
        (kind["names"]["plural"], *kind["names"]["shortNames"], *kind["names"]["categories"])
        for kind in (crd.definition(kind)["spec"] for kind in crd.KINDS)
    }
    assert words == {("secureaiworkloads", "saw", "secureai"), ("keyrotationpolicies", "krp", "secureai")}


def test_the_columns_are_ready_reason_key_rotates_quarantined_and_age() -> None:
    columns = crd.SECURE_AI_WORKLOAD.columns
    assert [column.name.upper() for column in columns if not column.wide] == [
        "READY", "REASON", "KEY", "ROTATES", "QUARANTINED", "AGE",
    ]  # fmt: skip
    assert [column.name.upper() for column in columns if column.wide] == [
        "VAULT NAME", "CERT EXPIRY", "CUSTODY", "ENFORCEMENT", "PODS",
    ]  # fmt: skip


@KINDS
def test_every_column_shows_a_field_that_exists(kind: crd.Kind) -> None:
    paths = {path for path, _, _ in fields(crd.schema(kind))} | {"metadata.creationTimestamp"}
    for column in kind.columns:
        path = re.sub(r"\[\?.*?\]", "[]", column.path).removeprefix(".")
        assert path in paths, column.name


def test_the_smallest_workload_has_at_most_eight_lines() -> None:
    page = docs.crds_page()
    minimal = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert len(minimal.splitlines()) <= 8
    assert "spec" not in crd.schema(crd.SECURE_AI_WORKLOAD).get("required", [])


def test_crds_prints_yaml_and_json_and_writes_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from secureai_operator.cli.main import main  # noqa: PLC0415 - only this test speaks to the command line

    assert main(["crds", "-o", "json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [item["metadata"]["name"] for item in items] == [kind.name for kind in crd.KINDS]
    assert main(["crds"]) == 0
    assert capsys.readouterr().out == "---\n".join(crds.files().values())
    assert main(["crds", "--out", str(tmp_path / "new")]) == 0
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "new").iterdir()} == crds.files()


def test_docs_prints_one_page_or_writes_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from secureai_operator.cli.main import main  # noqa: PLC0415

    assert main(["docs", "reasons"]) == 0
    assert capsys.readouterr().out == docs.reasons_page()
    assert main(["docs", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"crds.md", "metrics.md", "reasons.md"}


def test_the_root_guards_the_name_of_both_kinds() -> None:
    for kind in crd.KINDS:
        first = crd.schema(kind)["x-kubernetes-validations"][0]
        assert str(names.WORKLOAD_NAME_MAX) in first["rule"]
        assert first["fieldPath"] == ".metadata.name"
