-- The policy starts no rotations; what is under way goes on.
if obj.spec == nil then
  obj.spec = {}
end
obj.spec.suspend = true
return obj
