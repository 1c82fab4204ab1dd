-- Reads.
--
-- ARGV: what. LOCK: who sends. PROOF: the ledger's id, and what its key makes of that. FACT and a name. TOTALS: hows and their numbers, then numbers and how many. BLOCK:
-- hows and their numbers, then tags and what stands with them. OPEN and DOUBT: who has begun, who is in doubt.
local what, name = ARGV[1], ARGV[2]
if head.format ~= FORMAT then
    return { head.format and 'FOREIGN' or 'MISSING' }
end
local reply = { 'OK' }
local function add(list)
    for _, value in ipairs(list) do
        reply[#reply + 1] = value
    end
end
if what == 'LOCK' then
    local held = head.token ~= '' and time() < tonumber(head['until'])
    return { held and 'HELD' or 'FREE', head.fence, head.beat, head.holder }
elseif what == 'PROOF' then
    return { 'OK', head.id, head.proof }
elseif what == 'FACT' then
    local text = redis.call('HGET', FACT, name)
    return text and { 'OK', text } or { 'NONE' }
elseif what == 'OPEN' then
    add(redis.call('SMEMBERS', OPEN))
elseif what == 'DOUBT' then
    add(redis.call('SMEMBERS', DOUBT))
else
    local hows = redis.call('HGETALL', HOW)
    reply[2] = whole(#hows / 2)
    add(hows)
    if what == 'TOTALS' then
        add(redis.call('HGETALL', TOTAL))
    else
        for at = 7, #KEYS do
            add(redis.call('HGETALL', KEYS[at]))
        end
    end
end
return reply
