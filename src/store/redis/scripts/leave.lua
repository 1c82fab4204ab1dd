-- Takes replicas off the list. ARGV: pairs of incarnation and beats; beats '' takes it off whatever
-- they are, else only if it has not been seen since.
local head, refusal = stored(false)
if not head then
    return refusal
end
local gone = {}
for at = 1, #ARGV, 2 do
    local value = redis.call('HGET', REPS, ARGV[at])
    local found = value and member(value)
    if value and (ARGV[at + 1] == '' or not found or found.beats == ARGV[at + 1]) then
        gone[#gone + 1] = ARGV[at]
    end
end
for _, incarnation in ipairs(gone) do
    redis.call('HDEL', REPS, incarnation)
end
return { 'OK', head.reign }
