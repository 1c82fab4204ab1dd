-- The revision that a request id led to. ARGV: request id.
local head, refusal = stored(false)
if not head then
    return refusal
end
local seen = redis.call('HGET', IDEM, ARGV[1])
if not seen then
    return { 'NONE', head.reign }
end
if not is_count(seen) or seen == '0' or head.number < tonumber(seen) then
    return corrupt('the list of requests', 'a request leads to no revision')
end
return { 'SEEN', head.reign, seen }
