-- Asks for an emergency rotation, as `secureai rotate --emergency` does: by an annotation whose value is the id of the
-- request, which is acted on once. The id is of the second, so that a double click asks once.
local os = require("os")

-- Argo CD runs an action that discovery disabled, too. A second emergency would begin when the first is over.
if obj.spec ~= nil and obj.spec.suspend == true then
  error("it is suspended: resume it first", 0)
end
if obj.status ~= nil and obj.status.emergency ~= nil and obj.status.emergency.finishedAt == nil then
  error("an emergency rotation is under way", 0)
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["secureai.dev/rotate-emergency"] = os.date("!%Y%m%dt%H%M%Sz") .. "-argocd"
return obj
