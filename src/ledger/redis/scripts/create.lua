-- Begins a ledger, and makes who asks its sender.
--
-- ARGV: token, lease in milliseconds, who asks, the ledger's id, and what its key makes of that.
local token, lease, holder, id, proof = unpack(ARGV)
if head.token == token then
    extend(lease) -- The answer was lost, and this is asked again.
    return { 'OK', head.fence, head.id, head.proof }
end
if redis.call('EXISTS', unpack(KEYS)) ~= 0 then
    return { 'EXISTS' }
end
redis.call('HSET', HEAD, 'format', FORMAT, 'fence', '1', 'token', token, 'seq', '0', 'beat', '0',
    'holder', holder, 'id', id, 'proof', proof)
extend(lease)
return { 'OK', '1', id, proof }
