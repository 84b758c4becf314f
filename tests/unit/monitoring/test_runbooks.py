"""Each alert has a page, and the page speaks only of what there is: commands, reasons, metrics, alerts."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import promql_parser as promql
import pytest

from secureai_operator.api import crd
from secureai_operator.api.condition_types import ConditionType
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.rotation_status import EmergencyStep
from secureai_operator.cli import main
from tests.unit.monitoring.alert_rules import ROOT, Json, alerts, exposed, names, selectors

FOLDER = ROOT / "docs" / "runbooks"
INDEX = FOLDER / "README.md"
SECTIONS = ["What it means", "How bad it is", "How to look", "What to do", "When it is over"]
SPANS = {"m": "minute", "h": "hour", "d": "day"}
KINDS = {
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "SecureAIWorkload",
    "KeyRotationPolicy",
    "FlowSchema",
}
KUBECTL = {"delete", "describe", "get", "logs", "patch", "rollout", "top"}
LABELS_OF_OTHERS = {"cluster"}

ALERT = pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
PAGE = pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)


def text_of(alert: str) -> str:
    return (FOLDER / f"{alert}.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def spoken(text: str) -> list[str]:
    """What stands in backticks in a line."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of each command of the program, in blocks and in lines; what follows a pipe is another's."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    for line in (*lines, *spoken(text)):
        if line.startswith(f"{program} "):
            words = shlex.split(line, comments=True)
            ends = [index for index, word in enumerate(words) if word in {"|", ">"}]
            yield words[1 : ends[0] if ends else None]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == {*names(), INDEX.stem}


@ALERT
def test_a_page_says_what_it_has_to_in_the_same_order(rule: Json) -> None:
    text = text_of(rule["alert"])
    assert text.startswith(f"# {rule['alert']}\n")
    title, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert f"Severity {rule['labels']['severity']}, {fires(rule.get('for', ''))}." in title
    assert [section.partition("\n")[0] for section in sections] == SECTIONS
    assert all(len(section.split()) > 6 for section in sections), "an empty section"


def fires(wait: str) -> str:
    if not wait:
        return "fires at once"
    number, unit = int(wait[:-1]), SPANS[wait[-1]]
    return f"fires after {number} {unit}{'s' if number > 1 else ''}"


@ALERT
def test_a_page_tells_of_each_reason_that_its_alert_looks_for(rule: Json) -> None:
    for matched in re.findall(r'reason=~?"([^"]*)"', rule["expr"]):
        for reason in matched.split("|"):
            assert f"[{reason}](../reasons.md#{reason.lower()})" in text_of(rule["alert"])


def test_the_index_lists_every_alert_with_its_severity() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| \S.* \|$", INDEX.read_text(), re.MULTILINE)
    assert listed == [(rule["alert"], rule["alert"], rule["labels"]["severity"]) for rule in alerts()]


@PAGE
def test_every_command_of_ours_is_one_that_the_command_line_takes(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argparse.ArgumentParser, "error", _refused)
    for words in commands(page.read_text(), "secureai"):
        assert words[0] in main.VERBS, words
        with contextlib.suppress(OnlyNamed) if len(words) < 3 else contextlib.nullcontext():
            main._parser(words[0], main._module(words[0])).parse_args(words)


class OnlyNamed(Exception):
    """A command without the arguments that it needs: it is spoken of, and not to be typed so."""


def _refused(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    if message.startswith("the following arguments are required"):
        raise OnlyNamed
    raise AssertionError(f"{parser.prog}: {message}")


def test_a_command_that_is_not_taken_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argparse.ArgumentParser, "error", _refused)
    (words,) = commands("```sh\nsecureai keys NAME --wrong | head\n```\n", "secureai")
    with pytest.raises(AssertionError, match="--wrong"):
        main._parser("keys", main._module("keys")).parse_args(words)


@PAGE
def test_every_kubectl_command_is_of_a_kind_that_there_is(page: Path) -> None:
    short = {kind.short_name for kind in crd.KINDS}
    for words in commands(page.read_text(), "kubectl"):
        verb = next(word for word in words if word not in {"-n", "secureai-system"})
        assert verb in KUBECTL, words
        after = words[words.index(verb) + 1 :]
        if verb in {"get", "patch"} and after and after[0] in {"saw", "krp"}:
            assert after[0] in short
        assert all(word == "deployment/secureai-operator" for word in words if word.startswith("deployment/"))


@PAGE
def test_every_reason_is_one_of_the_registry(page: Path) -> None:
    linked = re.findall(r"\[([^\]]+)\]\((?:\.\./)?reasons\.md#([^)]+)\)", page.read_text())
    headings = {"all-reasons", "by-condition"}
    assert all(anchor in headings or (name in REASONS and anchor == name.lower()) for name, anchor in linked)


@PAGE
def test_every_name_in_capitals_is_known(page: Path) -> None:
    """Reasons, conditions, alerts and steps, so that none is renamed and left behind here."""
    known = {
        *REASONS,
        *names(),
        *KINDS,
        *(one.value for kind in (ConditionType, EmergencyStep) for one in kind),
    }
    said = [
        word
        for one in spoken(page.read_text())
        for word in re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", one)
    ]
    assert set(said) <= known | {one.upper() for one in known}


@PAGE
def test_every_link_to_another_page_leads_to_an_alert(page: Path) -> None:
    for name, target in re.findall(r"\[([A-Za-z]+)\]\(([A-Za-z]+)\.md\)", page.read_text()):
        assert name == target
        assert name in names()


@PAGE
def test_every_expression_is_promql_of_metrics_that_there_are(page: Path) -> None:
    text = page.read_text()
    lines = [line for block in blocks(text, "promql") for line in block.splitlines() if line]
    for line in (*lines, *(one for one in spoken(text) if "(secureai_" in one)):
        for selector in selectors(promql.parse(line)):
            known = exposed()[selector.name]
            assert {matcher.name for matcher in selector.matchers.matchers} <= known, line
            grouped = re.findall(r"\bby \(([^)]*)\)", line)
            assert {label.strip() for labels in grouped for label in labels.split(",")} <= known, line
    assert set(re.findall(r"\bsecureai_[a-z_]+", text)) <= set(exposed())


@PAGE
def test_no_line_is_too_long_to_read(page: Path) -> None:
    assert not [
        line for line in page.read_text().splitlines() if len(line) > 130 and not line.startswith("|")
    ]
