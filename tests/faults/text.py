"""Strings derived from a schema: by the patterns and the bounds that its CEL rules name, to the last character that fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st

from secureai_operator.api.model import seconds
from tests.faults.draws import drawn

Json = dict[str, Any]
Texts = st.SearchStrategy[str]

_MATCHES = re.compile(r"^self\.matches\('((?:[^'\\]|\\.)*)'\)")
_KEY_MATCHES = re.compile(r"key\.size\(\) <= (\d+) && key\.matches\('((?:[^'\\]|\\.)*)'\)")
_BOUNDS = re.compile(r"duration\(self\) >= duration\('(\w+)'\) && duration\(self\) <= duration\('(\w+)'\)")
_EXAMPLE = re.compile(r"Example: (\"?)([^\"]+)\1\.$")
_LONG = 63
"""Longer ones are only tried at the very end of what is allowed."""
_LARGE = 400
"""Texts of such a pattern take hypothesis a twentieth of a second each."""

ODD = (
    "", " ", "a b", "a\n", "\u0000", "ä", "\u202ellm", "💥", "${x}", "{{.}}", "../..", "%2e%2e", "*", "+", "a'b", 'a"b', "-", ".",
    "a..b", "-a", "a-", "A", "null", "~", "0", "0s", "1e3", "010.0.0.0/8", "::ffff:1.2.3.0/120", "+02:00", "Local", "0 0 31 2 *",
    "true", "x" * 64, "x" * 253, f"{'d' * 64}.team-a.svc",
)  # fmt: skip


def pattern_of(rules: Sequence[str]) -> str:
    """The pattern that the first rule asks of the text itself, or ""."""
    found = _MATCHES.match(rules[0]) if rules else None
    return _plain(found[1]) if found else ""


def bounds_of(rules: Sequence[str]) -> tuple[str, str] | None:
    """The shortest and the longest duration."""
    found = _BOUNDS.search(rules[0]) if rules else None
    return (found[1], found[2]) if found else None


def valid(schema: Json, rules: Sequence[str]) -> Texts:
    longest = schema["maxLength"]
    between = bounds_of(rules)
    if between:
        return _durations(*between)
    pattern = pattern_of(rules)
    if not pattern:
        return st.one_of(
            st.text(max_size=min(longest, _LONG)), st.just("é" * longest), st.sampled_from(_examples(schema))
        )
    samples = _examples(schema)
    edges = sorted({_stretched(sample, pattern, longest) for sample in samples})
    made = _made(pattern).filter(lambda found: len(found) <= longest)
    return st.one_of(st.sampled_from(samples), made, st.sampled_from(edges))


def valid_keys(rules: Sequence[str]) -> Texts:
    """Keys of a map, by the rule about all of them."""
    longest, pattern = _key_rule(rules)
    edges = [
        _stretched(sample, pattern, longest) for sample in ("app", "example.com/app", "example.com/a-b.c")
    ]
    return st.one_of(
        st.sampled_from(["app", "tier", "example.com/app"]), _made(pattern), st.sampled_from(edges)
    )


def odd(fits: Texts) -> Texts:
    """Strings of every kind, and valid ones with a character too much."""
    near = st.builds(
        lambda found, strange: found + strange, fits, st.sampled_from(["\n", " ", "-", "é", "\t"])
    )
    return st.one_of(st.sampled_from(ODD), near, st.text(max_size=16))


def wrong(schema: Json, rules: Sequence[str]) -> list[str]:
    """Strings that the schema refuses: too long, of another form, or out of bounds."""
    found = ["a" * (schema["maxLength"] + 1)]
    between = bounds_of(rules)
    if between:
        shortest, longest = map(seconds, between)
        found += [f"{shortest - 1}s", f"{longest + 1}s", "", "1d", "-1h", "1h 5m"]
    elif pattern_of(rules):
        found += [" spaced out ", "a\nb"]
    return found


def _key_rule(rules: Sequence[str]) -> tuple[int, str]:
    found = next(filter(None, map(_KEY_MATCHES.search, rules)))
    return int(found[1]), _plain(found[2])


def _plain(literal: str) -> str:
    """What a CEL string literal says."""
    return re.sub(r"\\(.)", r"\1", literal)


@cache
def _made(pattern: str) -> Texts:
    made = st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
    return made if len(pattern) < _LARGE else st.sampled_from(drawn(made, 50, 0))


def _examples(schema: Json) -> list[str]:
    found = _EXAMPLE.search(schema.get("description", ""))
    return [found[2]] if found else ["a", "llm-0"]


@cache
def _stretched(sample: str, pattern: str, longest: int) -> str:
    """The sample made as long as it may be: one character is repeated where that fits."""
    for strange in "a0":
        for place in range(1, len(sample)):
            for length in (longest, _LONG):
                grown = sample[:place] + strange * (length - len(sample)) + sample[place:]
                if length > len(sample) and re.fullmatch(pattern, grown):
                    return grown
    return sample


def _durations(shortest: str, longest: str) -> Texts:
    low, high = seconds(shortest), seconds(longest)
    edges = [shortest, longest, f"{low}s", f"{high // 3600}h" if high >= 3600 else f"{high}s"]
    return st.one_of(st.sampled_from(edges), st.integers(low, min(high, 10**8 - 1)).map(_written))


def _written(total: int) -> str:
    hours, left = divmod(total, 3600)
    minutes, rest = divmod(left, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"
