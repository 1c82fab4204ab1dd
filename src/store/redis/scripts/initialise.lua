-- Begins a history where there is none at all. ARGV: gen, ancestors, how many
-- milliseconds leases may run.
--
-- All keys are made here: while a cluster moves their slot, a script that names a missing key would be
-- refused. The empty field keeps a hash from going when its last real field goes.
local head, refusal = stored(false)
if head then
    return { 'EXISTS' }
end
if refusal[1] ~= 'EMPTY' then
    return refusal
end
redis.call('XADD', LOG, '0-1', 'e', '', 'c', '')
redis.call('XDEL', LOG, '0-1')
redis.call('HSET', REPS, '', '1')
redis.call('HSET', IDEM, '', '0')
redis.call('HSET', META, 'fmt', '1', 'gen', ARGV[1], 'ancestors', ARGV[2], 'limit', ARGV[3],
    'rev', '0', 'chain', ZERO, 'fork', '0')
return { 'OK', refusal[2] }
