-- What a place is in the history and how many nodes follow, with a write of this connection's own for WAIT
-- to wait for.
--
-- ARGV: gen, revision, chain.
local head, refusal = stored(false)
if not head then
    return refusal
end
local place, why = standing(head, ARGV[1], ARGV[2], ARGV[3])
if not place then
    return why
end
redis.call('HSET', REPS, '', '1')
return {
    marked(head, place), head.reign, head.rev, head.gen, head.ancestors, head.limit, head.followers,
}
