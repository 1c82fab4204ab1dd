-- What every script begins with: reads the head of a ledger.
--
-- KEYS: head, facts, hows, totals, open, doubt; then those of the buckets that are meant. Each script returns a
-- list of texts whose first says what it is.
--
-- The head says who sends: a token that only that process knows, a fence that grows with each sender, and until
-- when nobody else may take over. A how is a state, a revision and a reason; its number stands with each
-- recipient, and 0 is BEGUN.
--
-- Invariant: nothing is written before everything that is read has been checked, so that no script ends halfway.

local HEAD, FACT, HOW, TOTAL, OPEN, DOUBT = unpack(KEYS, 1, 6)
local FORMAT = '1'

if not string.find(redis.call('INFO', 'replication'), 'role:master', 1, true) then
    return { 'NOT_PRIMARY' }
end

-- This server's own time in milliseconds.
local function time()
    local clock = redis.call('TIME')
    return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

local function whole(number)
    return string.format('%.0f', number)
end

local function read_head()
    local names = { 'format', 'fence', 'token', 'until', 'seq', 'beat', 'holder', 'id', 'proof' }
    local fields = redis.call('HMGET', HEAD, unpack(names))
    local head = {}
    for at, name in ipairs(names) do
        head[name] = fields[at] or nil
    end
    return head
end

local head = read_head()

-- Until when nobody else may take over, if the sender does nothing more.
local function extend(lease)
    redis.call('HSET', HEAD, 'until', whole(time() + tonumber(lease)))
end

-- What to return instead of doing what the sender asks, if it is not the sender any more.
local function refusal(token, fence)
    if head.format ~= FORMAT then
        return { head.format and 'FOREIGN' or 'MISSING' }
    end
    if token == '' or token ~= head.token or fence ~= head.fence then
        return { 'LOST', head.holder or '' }
    end
    return nil
end
