-- Asks for a rotation of all keys that the policy rules, as `secureai rotate --policy` does: by an annotation whose value
-- is the id of the request, which is acted on once. The id is of the second, so that a double click asks once.
local os = require("os")

-- Argo CD runs an action that discovery disabled, too. Once resumed, the policy would act on what was asked long ago.
if obj.spec ~= nil and (obj.spec.suspend == true or obj.spec.dryRun == true) then
  error("it is suspended or on dry run: end that first", 0)
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["secureai.dev/rotate"] = os.date("!%Y%m%dt%H%M%Sz") .. "-argocd"
return obj
