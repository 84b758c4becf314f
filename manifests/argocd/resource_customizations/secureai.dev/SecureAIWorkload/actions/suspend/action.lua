-- The workload is left as it is: nothing is checked, healed or rotated.
if obj.spec == nil then
  obj.spec = {}
end
obj.spec.suspend = true
return obj
