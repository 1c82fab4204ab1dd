-- Who serves from this store, and what a place is in its history. ARGV: gen, revision, chain.
local head, refusal = stored(false)
if not head then
    return refusal
end
local place, why = standing(head, ARGV[1], ARGV[2], ARGV[3])
if not place then
    return why
end
local all
all, why = members()
if not all then
    return why
end
local fleet = { marked(head, place), head.reign, head.rev, head.gen, head.ancestors, head.limit }
for incarnation, found in pairs(all) do
    -- Who reported in another history has nothing of this one in effect.
    local here = found.gen == head.gen
    fleet[#fleet + 1] = incarnation
    fleet[#fleet + 1] = here and found.rev or '0'
    fleet[#fleet + 1] = here and found.chain or ZERO
    fleet[#fleet + 1] = found.beats
    fleet[#fleet + 1] = found.name
    fleet[#fleet + 1] = found.address
end
return fleet
