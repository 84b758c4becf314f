-- Which actions can be asked for now: the same as `secureai rotate --policy` would not refuse.

local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local spec = map(obj.spec)
local is_deleting = map(obj.metadata).deletionTimestamp ~= nil
local is_suspended = spec.suspend == true

return {
  ["rotate"] = {
    ["displayName"] = "Rotate all keys that the policy rules",
    ["iconClass"] = "fa fa-fw fa-sync",
    ["disabled"] = is_deleting or is_suspended or spec.dryRun == true,
  },
  ["suspend"] = {
    ["displayName"] = "Suspend: no rotation starts",
    ["iconClass"] = "fa fa-fw fa-pause",
    ["disabled"] = is_deleting or is_suspended,
  },
  ["resume"] = {
    ["displayName"] = "Resume",
    ["iconClass"] = "fa fa-fw fa-play",
    ["disabled"] = is_deleting or not is_suspended,
  },
}
