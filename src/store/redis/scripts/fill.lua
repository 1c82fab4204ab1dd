-- Fills a namespace that holds nothing from a copy of a history, under a new lineage.
--
-- ARGV: BEGIN, gen; or MORE, gen, then revision, chain, request id and entry of each record; or END, gen,
-- revision, chain, ancestors, how many milliseconds leases may run. Until the end the head has the format `filling`, which every other script
-- refuses; a fill that broke off can be begun anew, and nothing else can.
local step, gen = ARGV[1], ARGV[2]
local who = reign()
if not who then
    return { 'NOT_PRIMARY' }
end
local filling = redis.call('TYPE', META).ok == 'hash' and redis.call('HGET', META, 'fmt') == 'filling'
if step == 'BEGIN' then
    if not filling then
        local head, refusal = stored(false)
        if head then
            return { 'EXISTS' }
        end
        if refusal[1] ~= 'EMPTY' then
            return refusal
        end
    end
    redis.call('DEL', LOG, REPS, IDEM)
    redis.call('HSET', META, 'fmt', 'filling', 'gen', gen)
    redis.call('XADD', LOG, '0-1', 'e', '', 'c', '')
    redis.call('XDEL', LOG, '0-1')
    redis.call('HSET', REPS, '', '1')
    redis.call('HSET', IDEM, '', '0')
    return { 'OK', who }
end
if not filling or redis.call('HGET', META, 'gen') ~= gen then
    return { 'EXISTS' }
end
if step == 'MORE' then
    for at = 3, #ARGV, 4 do
        redis.call('XADD', LOG, ARGV[at] .. '-0', 'e', ARGV[at + 3], 'c', ARGV[at + 1])
        redis.call('HSET', IDEM, ARGV[at + 2], ARGV[at])
    end
    return { 'OK', who }
end
if redis.call('XLEN', LOG) ~= tonumber(ARGV[3]) then
    return corrupt('the log', 'it does not hold all records of the copy')
end
redis.call('HSET', META, 'rev', ARGV[3], 'chain', ARGV[4], 'ancestors', ARGV[5], 'limit', ARGV[6],
    'fork', '0', 'fmt', '1')
return { 'OK', who }
