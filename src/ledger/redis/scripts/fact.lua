-- Sets a fact. The sender's own are fenced; anybody may give orders.
--
-- ARGV: token and fence of the sender, or '' for who only looks; lease in milliseconds, name, text; and what was
-- seen of it, '' for nothing, where it is to be set only if it still is that. What is so already is written again: it
-- may be by this very call, of which not all nodes have it yet, and only who writes can wait for them.
local token, fence, lease, name, text, seen = unpack(ARGV)
if token == '' then
    if head.format ~= FORMAT then
        return { head.format and 'FOREIGN' or 'MISSING' }
    end
else
    local refused = refusal(token, fence)
    if refused then
        return refused
    end
    extend(lease)
end
local stands = redis.call('HGET', FACT, name) or ''
if seen and stands ~= seen and stands ~= text then
    return { 'OTHER' }
end
redis.call('HSET', FACT, name, text)
return { 'OK' }
