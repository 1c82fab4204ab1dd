-- Sets a fact. The sender's own are fenced; anybody may give orders.
--
-- ARGV: token and fence of the sender, or '' for who only looks; lease in milliseconds, name, text.
local token, fence, lease, name, text = unpack(ARGV)
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
redis.call('HSET', FACT, name, text)
return { 'OK' }
