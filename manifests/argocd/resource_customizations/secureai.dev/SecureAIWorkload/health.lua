-- Health of a SecureAIWorkload. Healthy is only what is Ready at the current generation. Not Ready is Degraded, but for
-- what the operator ends by itself (Progressing) and what waits for somebody's decision outside the cluster (Suspended).

local NOT_DEGRADED = {
  Progressing = "Progressing",
  Waiting = "Progressing",
  Terminating = "Progressing",
  KubernetesUnavailable = "Progressing",
  VaultRateLimited = "Progressing",
  -- An emergency rotation ends by itself, unless its step says otherwise.
  AccessWithdrawn = "Progressing",
  -- Pods of a controller are replaced one by one.
  PodsUnbound = "Progressing",
  Suspended = "Suspended",
  -- The customer's right, and theirs to end.
  CustomerLocked = "Suspended",
  AwaitingKeyMaterial = "Suspended",
}

-- A single request that failed, if Vault as a whole answers.
local ONE_REQUEST = { VaultUnreachable = true, VaultTimeout = true }

-- What an emergency rotation cannot end without a person.
local EMERGENCY_STUCK = { AwaitingKeyMaterial = true, RotationRefused = true, KeyArchiveFull = true }

-- Conditions that a Ready workload is told of, with the status that is as it should be.
local NOTED = {
  { type = "VaultReachable", good = "True" },
  { type = "NetworkIsolated", good = "True" },
  { type = "ConfidentialSchedulable", good = "True" },
  { type = "PodsBound", good = "True" },
  { type = "RotationOnTrack", good = "True" },
  { type = "DriftDetected", good = "False" },
}
local NOT_NOTED = { Progressing = true, Waiting = true, PlacementOff = true }

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

local function is_stalled()
  return condition("Stalled").status == "True"
end

-- What a person should know of a workload that is Ready all the same.
local function notes()
  local found = ""
  for _, noted in ipairs(NOTED) do
    local one = condition(noted.type)
    local reason = text(one.reason)
    if one.status ~= nil and one.status ~= noted.good and not NOT_NOTED[reason] then
      found = found .. "; " .. noted.type .. " is " .. reason
    end
  end
  local quarantined = map(status.pods).quarantined
  if type(quarantined) == "number" and quarantined > 0 then
    found = found .. "; pods in quarantine: " .. quarantined
  end
  return found
end

-- Why an emergency rotation that is under way needs a person; "" if it does not.
local function stuck_by()
  local track = condition("RotationOnTrack")
  if track.status ~= "True" and EMERGENCY_STUCK[text(track.reason)] then
    return "; RotationOnTrack is " .. explained(track)
  end
  return ""
end

local function state_of(ready)
  local reason = text(ready.reason)
  if is_stalled() then return "Degraded" end
  if ONE_REQUEST[reason] and condition("VaultReachable").status == "True" then return "Progressing" end
  if reason == "AccessWithdrawn" and stuck_by() ~= "" then return "Degraded" end
  if NOT_DEGRADED[reason] then return NOT_DEGRADED[reason] end
  if ready.status == "False" then return "Degraded" end
  return "Progressing"
end

if metadata.deletionTimestamp ~= nil then
  local revoked = condition("VaultReachable")
  if revoked.status == "False" then
    return health("Progressing", "being deleted; access in Vault is not revoked yet: " .. explained(revoked))
  end
  return health("Progressing", "being deleted; its access in Vault is revoked first")
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

if ready.status ~= "True" then
  local stuck = ""
  if ready.reason == "AccessWithdrawn" then stuck = stuck_by() end
  return health(state_of(ready), explained(ready) .. stuck)
end
if is_stalled() then
  return health("Degraded", explained(condition("Stalled")))
end
if condition("Reconciling").status == "True" then
  return health("Progressing", explained(condition("Reconciling")))
end
return health("Healthy", explained(ready) .. notes())
