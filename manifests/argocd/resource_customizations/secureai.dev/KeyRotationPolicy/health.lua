-- Health of a KeyRotationPolicy. A policy that rules is Healthy; one that rests on purpose is Suspended; one that cannot
-- rule, or whose rotations fail, is Degraded.

local NOT_DEGRADED = {
  Progressing = "Progressing",
  Waiting = "Progressing",
  Terminating = "Progressing",
  Suspended = "Suspended",
  -- spec.suspend or spec.dryRun.
  PolicyRests = "Suspended",
}

local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local function text(value)
  if type(value) == "string" then return value end
  return ""
end

local metadata, status = map(obj.metadata), map(obj.status)

local function condition(kind)
  for _, one in ipairs(map(status.conditions)) do
    if map(one).type == kind then return one end
  end
  return {}
end

local function health(state, message)
  return { status = state, message = message }
end

-- The reason, and what is said about it.
local function explained(one)
  local reason, message = text(one.reason), text(one.message)
  if reason == "" then reason = text(one.type) .. " gives no reason" end
  if message == "" then return reason end
  return reason .. ": " .. message
end

local function state_of(ready)
  if condition("Stalled").status == "True" then return "Degraded" end
  if condition("Reconciling").status == "True" then return "Progressing" end
  if ready.status == "True" then return "Healthy" end
  local state = NOT_DEGRADED[text(ready.reason)]
  if state then return state end
  if ready.status == "False" then return "Degraded" end
  return "Progressing"
end

if metadata.deletionTimestamp ~= nil then
  return health("Progressing", "being deleted")
end

if type(status.observedGeneration) ~= "number" or status.observedGeneration < 0 then
  return health("Progressing", "the operator has not looked at it yet")
end
if status.observedGeneration ~= metadata.generation then
  return health("Progressing", "the operator has not looked at the spec as it is now")
end

local ready = condition("Ready")
if ready.status == nil or ready.observedGeneration ~= metadata.generation then
  return health("Progressing", "the operator has not said whether it is Ready")
end

return health(state_of(ready), explained(ready))
