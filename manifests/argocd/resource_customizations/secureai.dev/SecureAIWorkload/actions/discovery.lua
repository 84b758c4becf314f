-- Which actions can be asked for now: the same as `secureai rotate` would not refuse.

local UNDER_WAY = { Planned = true, Rotated = true, Rewrapped = true }
-- A rotation would make it worse.
local FATAL = { KeyLost = true, KeyReplaced = true, KeyVersionDestroyed = true, ImmutableFieldDrift = true }

local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local status = map(obj.status)

local function condition(kind)
  for _, one in ipairs(map(status.conditions)) do
    if map(one).type == kind then return one end
  end
  return {}
end

local function is_fatal(one)
  return one.status ~= "True" and type(one.reason) == "string" and FATAL[one.reason] == true
end

local track = condition("RotationOnTrack")
local latest = map(status.key).latestVersion
local has_key = type(latest) == "number" and latest > 0
local phase = map(status.rotation).phase
local is_rotating = type(phase) == "string" and UNDER_WAY[phase] == true
local is_emergency = status.emergency ~= nil and map(status.emergency).finishedAt == nil

local is_deleting = map(obj.metadata).deletionTimestamp ~= nil
local is_suspended = map(obj.spec).suspend == true
local may_rotate = has_key and not (is_deleting or is_suspended or is_emergency)
  and not (is_fatal(condition("KeyReady")) or is_fatal(track))

return {
  ["rotate"] = {
    ["displayName"] = "Rotate the key",
    ["iconClass"] = "fa fa-fw fa-sync",
    ["disabled"] = not may_rotate or is_rotating or track.reason == "KeyArchiveFull",
  },
  ["rotate-emergency"] = {
    ["displayName"] = "Emergency: withdraw access, rotate everything, restart the pods",
    ["iconClass"] = "fa fa-fw fa-exclamation-triangle",
    ["disabled"] = not may_rotate,
  },
  ["suspend"] = {
    ["displayName"] = "Suspend: nothing is checked or healed",
    ["iconClass"] = "fa fa-fw fa-pause",
    ["disabled"] = is_deleting or is_suspended,
  },
  ["resume"] = {
    ["displayName"] = "Resume",
    ["iconClass"] = "fa fa-fw fa-play",
    ["disabled"] = is_deleting or not is_suspended,
  },
}
