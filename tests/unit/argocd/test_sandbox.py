"""The scripts get what Argo CD gives them and no more: or a test here would be green, and the script fail there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.argocd.sandbox import LuaError, run


@pytest.mark.parametrize(
    "script",
    [
        'return { string.upper("x") }',
        'return { ("x"):upper() }',
        "return { math.floor(1.5) }",
        'return { io.open("x") }',
        "return { os.time() }",
        "return { debug.getinfo(1) }",
        'return { require("string") }',
        'return { require("os").getenv("HOME") }',
        "return { coroutine.create(function() end) }",
        "return { python.builtins }",
        "goto out ::out:: return {}",
        "return { 7 // 2 }",
    ],
)
def test_what_argo_cd_does_not_offer_fails(script: str) -> None:
    with pytest.raises(LuaError):
        run(script, {})


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("return {}", []),
        ("return { a = {}, b = { 1, 'two', true } }", {"a": [], "b": [1, "two", True]}),
        ("return { next({}) == nil, type(obj.b), obj.c == nil, obj.n + 1 }", [True, "table", True, 4]),
        ("local t = { 3, 1 } table.sort(t) return { table.concat(t, '-') }", ["1-3"]),
        ("return { pcall(error, 'x') }", [False, "x"]),
    ],
)
def test_what_it_offers_works(script: str, result: object) -> None:
    assert run(script, {"b": {}, "c": None, "n": 3}) == result


def test_the_clock_is_in_utc_and_knows_the_flags_of_argo_cd_only() -> None:
    now = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)
    script = "return { require('os').date('!%Y%m%dt%H%M%Sz %T %j') }"
    assert run(script, {}, now) == ["20260131t120005z %T %j"]


def test_no_script_sees_what_another_left() -> None:
    run("left = 1 table.left = 1 return {}", {})
    assert run("return { left == nil, table.left == nil }", {}) == [True, True]
