-- Makes who asks the sender, if nobody is or the last one's lock has run out. What that one may still send
-- carries an older fence, and is refused.
--
-- ARGV: token, lease in milliseconds, who asks.
local token, lease, holder = unpack(ARGV)
if head.format ~= FORMAT then
    return { head.format and 'FOREIGN' or 'MISSING' }
end
if head.token == token then
    extend(lease) -- The answer was lost, and this is asked again.
    return { 'OK', head.fence, head.id, head.proof }
end
if head.token ~= '' and time() < tonumber(head['until']) then
    return { 'HELD', head.fence, head.beat, head.holder }
end
local fence = whole(tonumber(head.fence) + 1)
redis.call('HSET', HEAD, 'fence', fence, 'token', token, 'seq', '0', 'holder', holder)
extend(lease)
return { 'OK', fence, head.id, head.proof }
