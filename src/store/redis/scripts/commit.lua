-- Makes one change the next revision: its record, its request id and the head, in one step.
--
-- ARGV: gen, expected revision, expected chain, new chain, entry, request id, how ('', 'HEAL' or
-- 'ACCEPT'), new gen for ACCEPT, the date of the change and the latest date before it or '', both in
-- milliseconds.
--
-- No replica decides a check before the newest date. One far ahead of all clocks would put off whatever
-- is lifted or begins meanwhile; but who keeps to the date of an earlier change makes nothing worse. A
-- minute, so that a server whose own clock is a little behind keeps nobody from suspending.
local MOST_AHEAD = 60000
local head, refusal = stored(false)
if not head then
    return refusal
end
local gen, rev, chain, next_chain, entry, request, how, next_gen, dated, before = unpack(ARGV)

local seen = redis.call('HGET', IDEM, request)
if seen then
    if not is_count(seen) or seen == '0' or head.number < tonumber(seen) then
        return corrupt('the list of requests', 'a request leads to no revision')
    end
    return { 'SEEN', head.reign, seen }
end
if gen ~= head.gen then
    return { 'LINEAGE', head.reign }
end
if rev ~= head.rev then
    return { 'CONFLICT', head.reign, head.rev }
end
if chain ~= head.chain then
    -- Somebody read another history under this number: one of the two was lost.
    redis.call('HSET', META, 'fork', '1')
    return { 'FORKED', head.reign }
end
if head.fork == '1' and how == '' then
    return { 'FORKED', head.reign }
end
if head.fork == '0' and how == 'ACCEPT' then
    return { 'AGREED', head.reign }
end
local ahead = tonumber(dated) - time()
if MOST_AHEAD < ahead and (before == '' or tonumber(before) < tonumber(dated)) then
    return { 'AHEAD', head.reign, string.format('%.0f', ahead) }
end
local next_rev = string.format('%.0f', head.number + 1)
if not is_count(next_rev) then
    return { 'FULL', head.reign }
end
redis.call('XADD', LOG, next_rev .. '-0', 'e', entry, 'c', next_chain)
redis.call('HSET', IDEM, request, next_rev)
if how == 'ACCEPT' then
    local ancestors = head.ancestors == '' and gen or gen .. ',' .. head.ancestors
    ancestors = string.sub(ancestors, 1, MOST_ANCESTORS * 33 - 1)
    redis.call('HSET', META, 'gen', next_gen, 'ancestors', ancestors, 'fork', '0')
end
redis.call('HSET', META, 'rev', next_rev, 'chain', next_chain)
return { 'OK', head.reign, next_rev }
