-- Keeps the lock, or gives it up.
--
-- ARGV: token, fence, lease in milliseconds, or 0 to give it up.
local token, fence, lease = unpack(ARGV)
local refused = refusal(token, fence)
if refused then
    return refused
end
if lease == '0' then
    -- What of this sender's is still on its way is refused from here on.
    redis.call('HSET', HEAD, 'token', '', 'until', '0')
    return { 'OK' }
end
redis.call('HINCRBY', HEAD, 'beat', 1)
extend(lease)
return { 'OK' }
