"""Argo CD's Lua as its application controller and its server run it.

It is Lua 5.1 with the basic and the table functions, and of `os` only the clock, by `require`. There is no string library,
not even behind a string; what asks for it fails.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from lupa import lua51  # type: ignore[import-untyped]

from tests.unit.samples import NOW

ROOT = Path(__file__).resolve().parents[3]
CUSTOMIZATIONS = ROOT / "manifests" / "argocd" / "resource_customizations"
KINDS = ("SecureAIWorkload", "KeyRotationPolicy")

Json = dict[str, Any]

# Those that read files or load code stay out, although the real thing has them.
_BASIC = (
    "assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable tonumber tostring type "
    "unpack xpcall _VERSION table"
)
_FLAGS = frozenset("aAbBdFHImMpSXyYzZ")
"""What its strftime knows and Python's knows likewise; it leaves any other as it stands."""
_RUN = """
function(names, source, chunk, obj, date)
  local getmetatable, setfenv, loadstring = getmetatable, setfenv, loadstring
  local environment = { obj = obj }
  for _, name in ipairs(names) do environment[name] = _G[name] end
  environment._G = environment
  environment.require = function(name)
    if name == "os" then return { date = date } end
    error("module " .. tostring(name) .. " not found")
  end
  debug.setmetatable("", nil)
  return setfenv(assert(loadstring(source, chunk)), environment)()
end
"""


class LuaError(Exception):
    """The script ended with an error."""


def folder(kind: str) -> Path:
    return CUSTOMIZATIONS / "secureai.dev" / kind


@cache
def health_script(kind: str) -> str:
    return (folder(kind) / "health.lua").read_text()


@cache
def action_script(kind: str, action: str) -> str:
    return (folder(kind) / "actions" / action / "action.lua").read_text()


@cache
def discovery_script(kind: str) -> str:
    return (folder(kind) / "actions" / "discovery.lua").read_text()


def document(path: Path) -> Json:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def run(source: str, obj: Json, now: datetime = NOW) -> Any:
    """What the script returns of the object, as Argo CD's JSON encoder would write it."""
    # A state of its own each time, as there: no script sees what another one left.
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    names = lua.table_from(_BASIC.split())
    try:
        # A byte that is no UTF-8 does not come from an API server.
        result = lua.eval(_RUN)(
            names, source, "=script", _as_lua(lua, obj), lambda *given: _date(now, *given)
        )
        return _as_json(result)
    except lua51.LuaError as error:
        raise LuaError(str(error)) from error


def health(obj: Json) -> tuple[str, str]:
    """Status and message of the object's health."""
    found = run(health_script(obj["kind"]), obj)
    assert found.keys() == {"status", "message"}
    return found["status"], found["message"]


def discovered(obj: Json) -> dict[str, Json]:
    """The actions that are offered for the object, by name."""
    found = run(discovery_script(obj["kind"]), obj)
    assert isinstance(found, dict)
    return found


def acted(action: str, obj: Json, now: datetime = NOW) -> Json:
    """The object after the action, as Argo CD would have it patched."""
    found = _restored(run(action_script(obj["kind"], action), obj, now), obj)
    assert isinstance(found, dict)
    return found


def _as_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _as_lua(lua, inner) for key, inner in value.items()})
    if isinstance(value, list):
        return lua.table_from([_as_lua(lua, inner) for inner in value])
    # Every number is a float there.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_json(value: Any) -> Any:
    """A table is a list if its keys are 1 to n, an empty one too; keys of other kinds are an error there as well."""
    if lua51.lua_type(value) != "table":
        assert value is None or isinstance(value, bool | int | float | str)
        return int(value) if isinstance(value, float) and value.is_integer() else value
    items = dict(value.items())
    if list(items) == list(range(1, len(items) + 1)):
        return [_as_json(inner) for inner in items.values()]
    assert all(isinstance(key, str) for key in items)
    return {key: _as_json(inner) for key, inner in items.items()}


def _restored(new: Any, old: Any) -> Any:
    """What was an empty map before the script is one again: Lua cannot tell it from an empty list."""
    if new == [] and isinstance(old, dict):
        return old
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _restored(inner, old.get(key)) for key, inner in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        padded = [*old, *[None] * len(new)]
        return [_restored(inner, before) for inner, before in zip(new, padded, strict=False)]
    return new


def _date(now: datetime, template: str = "%c", *others: Any) -> str:
    assert template.startswith("!"), "only with ! it is UTC, whatever the machine's time zone"
    assert not others, "with a moment of its own it is not UTC any more"
    return re.sub(
        r"%(.)", lambda found: now.strftime(found[0]) if found[1] in _FLAGS else found[0], template[1:]
    )
