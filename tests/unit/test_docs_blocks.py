"""Every fenced block of the documents is what it says it is: commands that our parsers take, objects that our models take."""

from __future__ import annotations

import argparse
import ast
import csv
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import promql_parser as promql
import pytest
import yaml

from secureai_operator import names
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.cli import main
from secureai_operator.settings import Settings
from tests.unit.test_docs_pages import PAGE, tokens
from tests.unit.test_helm import resolved, schema
from tests.unit.test_project import ROOT, make_targets

MODELS = {"SecureAIWorkload": SecureAIWorkloadSpec, "KeyRotationPolicy": KeyRotationPolicySpec}
DIAGRAMS = {"flowchart", "stateDiagram-v2", "sequenceDiagram"}
OTHERS = {
    *("base64", "docker", "etcdctl", "export", "grep", "openssl", "sha256sum", "tail", "umask", "vault"),
    "your-key-manager",
}
"""Programs that are not ours, and whose words nobody here can check."""
FILE_FLAGS = {"-f", "--filename", "-k", "--kustomize", "--patch-file"}

Json = dict[str, Any]


class Refused(Exception):
    """What is wrong with a block."""


@dataclass(frozen=True)
class Block:
    """A fenced block, with the page that it stands on."""

    info: str
    text: str
    line: int
    page: str

    @property
    def language(self) -> str:
        return (self.info.split() or [""])[0]


def blocks(page: Path) -> Iterator[Block]:
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            yield Block(token.info, token.content, (token.map or [0])[0] + 1, page.read_text())


# Shell --------------------------------------------------------------------------------------------------------


def shell_commands(text: str) -> Iterator[list[str]]:
    """The words of each command, without assignments before it, and without where its output goes."""
    for line in joined(text):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise Refused(f"{line}: {error}") from None
        yield from simple_commands(words)


def joined(text: str) -> Iterator[str]:
    """Lines as the shell takes them: continued ones in one."""
    yield from (line for line in text.replace("\\\n", " ").splitlines() if line.strip())


def simple_commands(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    rest = iter(words)
    for word in rest:
        if set(word) <= set("|&;"):
            yield command
            command = []
        elif set(word) <= set("<>"):
            next(rest, None)
        elif command or not re.match(r"[A-Z_]+=", word):
            command.append(word)
    if command:
        yield command


def check_sh(block: Block) -> None:
    for command in shell_commands(block.text):
        program, *words = command[1:] if command[0] == "sudo" else command
        if program == "kubectl" and words[:1] == ["secureai"]:
            program, words = words[0], words[1:]
        if program not in CHECKED:
            if program not in OTHERS:
                raise Refused(f"{program} is no program that anything here knows")
            continue
        CHECKED[program](words, block)


def check_secureai(words: list[str], _block: Block) -> None:
    def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
        raise Refused(f"{parser.prog}: {message}")

    verb = next((word for word in words if not word.startswith("-")), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "error", refuse)
        main._parser(verb, main._module(verb)).parse_args(words)


def check_kubectl(words: list[str], block: Block) -> None:
    for flag, value in pairwise(words):
        if flag in FILE_FLAGS and value != "-":
            check_file(value, block)


def check_file(path: str, block: Block) -> None:
    """One of the repository, or a file of the reader's, whose content the page has."""
    if "/" not in path and f"`{path}`" in block.page:
        return
    if not (ROOT / path).exists():
        raise Refused(f"{path} is neither in the repository nor named on the page")


def check_helm(words: list[str], block: Block) -> None:
    for word in words:
        if "/" in word:
            check_file(word, block)


def check_make(words: list[str], _block: Block) -> None:
    wanted = {word for word in words if "=" not in word and not word.startswith("-")}
    if not wanted <= make_targets():
        raise Refused(f"make has no target {', '.join(sorted(wanted - make_targets()))}")


def check_python(words: list[str], block: Block) -> None:
    check_file(words[1].replace(".", "/") if words[0] == "-m" else words[0], block)


CHECKED: Mapping[str, Callable[[list[str], Block], None]] = {
    "secureai": check_secureai,
    "kubectl": check_kubectl,
    "helm": check_helm,
    "make": check_make,
    "python": check_python,
}


# Data ---------------------------------------------------------------------------------------------------------


def check_yaml(block: Block) -> None:
    try:
        documents = [one for one in yaml.safe_load_all(block.text) if one is not None]
    except yaml.YAMLError as error:
        raise Refused(f"not YAML: {error}") from None
    if not documents or not all(isinstance(one, dict) for one in documents):
        raise Refused("no objects")
    for document in documents:
        check_document(document)


def check_document(document: Json) -> None:
    """One of our kinds, an object of Kubernetes, the operator's settings, or values of the chart."""
    if document.get("kind") in MODELS or document.get("apiVersion") == names.API_VERSION:
        check_ours(document)
    elif "kind" in document:
        if not document.get("apiVersion") or not (document.get("metadata") or {}).get("name"):
            raise Refused(f"a {document['kind']} without apiVersion or name")
    elif document.keys() <= resolved(schema())["properties"].keys():
        if unknown := unknown_values(schema(), document):
            raise Refused(f"the chart has no value {unknown}")
        check_model(Settings, document.get("config") or {})
    else:
        check_model(Settings, document)


def check_ours(document: Json) -> None:
    if document.get("apiVersion") != names.API_VERSION or document.get("kind") not in MODELS:
        raise Refused("no kind of this version")
    if extra := document.keys() - {"apiVersion", "kind", "metadata", "spec"}:
        raise Refused(f"{', '.join(sorted(extra))} beside spec")
    if not 0 < len(document["metadata"]["name"]) <= names.WORKLOAD_NAME_MAX:
        raise Refused("a name that is too long")
    check_model(MODELS[document["kind"]], document.get("spec") or {})


def check_model(model: Any, content: Json) -> None:
    try:
        model.model_validate_json(json.dumps(content))
    except ValueError as error:
        raise Refused(str(error)) from None


def unknown_values(node: Json, values: Any, path: str = "") -> str:
    """The first value that the chart's schema does not know, or ""."""
    node = resolved(node)
    if not isinstance(values, dict) or "properties" not in node:
        return ""
    for name, value in values.items():
        if name not in node["properties"] and node.get("additionalProperties") is False:
            return f"{path}{name}"
        if found := unknown_values(node["properties"].get(name, {}), value, f"{path}{name}."):
            return found
    return ""


def check_hcl(block: Block) -> None:
    """No parser of it is at hand: at least every bracket and every quote is closed."""
    text = re.sub(r'"[^"\n]*"', "", re.sub(r"#.*", "", block.text))
    if '"' in text or any(text.count(one) != text.count(other) for one, other in ("{}", "[]", "()")):
        raise Refused("a bracket or a quote is left open")


def check_csv(block: Block) -> None:
    if len({len(row) for row in csv.reader(block.text.splitlines())}) != 1:
        raise Refused("rows of different lengths")


def check_mermaid(block: Block) -> None:
    if block.text.split()[0] not in DIAGRAMS:
        raise Refused("no kind of picture that anything here knows")


def parsed_by(parse: Callable[[str], object]) -> Callable[[Block], None]:
    def check(block: Block) -> None:
        try:
            parse(block.text)
        except (ValueError, SyntaxError) as error:
            raise Refused(str(error)) from None

    return check


LANGUAGES: Mapping[str, Callable[[Block], None]] = {
    "sh": check_sh,
    "yaml": check_yaml,
    "json": parsed_by(json.loads),
    "toml": parsed_by(tomllib.loads),
    "promql": parsed_by(lambda text: [promql.parse(line) for line in text.splitlines() if line]),
    "python": parsed_by(ast.parse),
    "hcl": check_hcl,
    "csv": check_csv,
    "mermaid": check_mermaid,
    "text": lambda _block: None,
}
"""`text` is what nothing could check: a drawing, a list, something's output."""


def wrong(block: Block) -> str:
    if block.language not in LANGUAGES:
        return f"{block.language!r} is no language that anything here knows; what cannot be checked is `text`"
    try:
        LANGUAGES[block.language](block)
    except Refused as refused:
        return str(refused)
    return ""


@PAGE
def test_every_block_is_what_it_says(page: Path) -> None:
    assert not [f"line {block.line}: {why}" for block in blocks(page) if (why := wrong(block))]


@PAGE
def test_every_command_in_a_sentence_could_be_typed(page: Path) -> None:
    """But for words that it still needs: a sentence may only name it."""
    found = {text: wrong(Block("sh", text, 0, page.read_text())) for text in spoken(page)}
    named = re.compile(r"arguments are required|expected one argument")
    assert not {text: why for text, why in found.items() if why and not named.search(why)}


def spoken(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.split()[0] in CHECKED and " " in child.content:
                yield child.content


WORKLOAD = "apiVersion: secureai.dev/v1alpha1\nkind: SecureAIWorkload\nmetadata: {name: llm}\n"


@pytest.mark.parametrize(
    ("info", "text", "why"),
    [
        ("", "secureai check", "no language"),
        ("bash", "secureai check", "no language"),
        ("sh", "secureai keys --wrong", "unrecognized arguments: --wrong"),
        ("sh", "secureai rotate llm --emergency --data-keys", "not allowed with"),
        ("sh", "secureai export", "invalid choice"),
        ("sh", "VAULT_ADDR=x secureai vault bootstrap \\\n  --aply", "unrecognized arguments: --aply"),
        ("sh", "kubectl get pods | kubectl secureai why", "required: NAME"),
        ("sh", "kubectl apply -k manifests/bass", "manifests/bass is neither"),
        ("sh", "kubectl apply -f llm.yaml", "llm.yaml is neither"),
        ("sh", "helm install secureai manifests/chart", "manifests/chart is neither"),
        ("sh", "sudo make e3e", "no target e3e"),
        ("sh", "kubctl get pods", "kubctl is no program"),
        ("sh", "secureai why 'llm", "No closing quotation"),
        ("yaml", f"{WORKLOAD}spec: {{network: {{vaults: true}}}}", "network.vaults"),
        ("yaml", f"{WORKLOAD}spec: {{certificate: {{ttl: soon}}}}", "certificate.ttl"),
        ("yaml", f"{WORKLOAD}status: {{}}", "status beside spec"),
        ("yaml", WORKLOAD.replace("v1alpha1", "v1"), "no kind of this version"),
        ("yaml", "kind: Secret\nmetadata: {name: x}", "without apiVersion"),
        ("yaml", "config: {clustr: main}", "the chart has no value config.clustr"),
        ("yaml", "connections: {default: {address: nowhere}}", "connections.default.address"),
        ("yaml", "a: [", "not YAML"),
        ("json", "{", "Expecting"),
        ("toml", "a =", "Invalid"),
        ("promql", "up\nsum(", "unclosed left parenthesis"),
        ("python", "def", "invalid syntax"),
        ("hcl", 'path "x" {', "left open"),
        ("csv", "a, b\nc", "different lengths"),
        ("mermaid", "flowchat LR", "no kind of picture"),
    ],
)  # fmt: skip
def test_a_block_that_is_wrong_is_found_out(info: str, text: str, why: str) -> None:
    assert why in wrong(Block(info, text, 1, ""))
