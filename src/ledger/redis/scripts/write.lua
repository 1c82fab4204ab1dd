-- Takes a group of steps, all or none, and keeps the totals.
--
-- ARGV: token, fence, lease in milliseconds, number of the group, how many hows, the hows; then for each bucket
-- its block in 8 bytes, and its steps in 23 bytes each: what, which of the hows (2), when (4), tag (16).
--
-- A group has a number, and the next one the next number. So a sender whose answer was lost asks again, and a
-- group that was taken is not taken twice.
local token, fence, lease, number = unpack(ARGV, 1, 4)
local refused = refusal(token, fence)
if refused then
    return refused
end
if number == head.seq then
    extend(lease)
    return { 'OK' }
end
if tonumber(number) ~= tonumber(head.seq) + 1 then
    return { 'ORDER', head.seq }
end

local BEGIN, LEAVE, END, WITHDRAW, RETRY = 1, 2, 3, 4, 5
local PROOFS = string.rep('\255', 8)
local STEP = 23
-- A recipient is one number: its how times this, and when. It has at most 53 bits: Lua counts it exactly.
local HOW_UNIT = 4294967296
local MOST_HOWS = 1048576
-- How many values one command gets: Lua's own limit is below 8000.
local MOST = 1000

-- Calls a command with a long list of values, some at a time.
local function call_with(command, key, values)
    for first = 1, #values, MOST do
        redis.call(command, key, unpack(values, first, math.min(first + MOST - 1, #values)))
    end
end

-- The numbers of the hows; new ones are written below.
local many = tonumber(ARGV[5])
local hows, is_doubt, new_hows = {}, {}, {}
local next_how = redis.call('HLEN', HOW) + 1
for at = 1, many do
    local text = ARGV[5 + at]
    local known = redis.call('HGET', HOW, text)
    local how = tonumber(known or next_how)
    if not known then
        new_hows[#new_hows + 1] = text
        new_hows[#new_hows + 1] = whole(how)
        next_how = next_how + 1
    end
    hows[at] = how
    is_doubt[how] = string.sub(text, 1, 1) == '4'
end
if MOST_HOWS < next_how then
    return { 'FULL' }
end

local deltas, writes = {}, {}
local into_open, out_of_open, into_doubt, out_of_doubt = {}, {}, {}, {}
local function count(how, more)
    deltas[how] = (deltas[how] or 0) + more
end

for at = 7, #KEYS do
    local packed = ARGV[5 + many + at - 6]
    local block = string.sub(packed, 1, 8)
    local counts = block ~= PROOFS
    local tags = {}
    for from = 9, #packed, STEP do
        tags[#tags + 1] = string.sub(packed, from + 7, from + 22)
    end
    -- What stands there, and what will: a recipient may take several steps in one group.
    local held, was = {}, {}
    for first = 1, #tags, MOST do
        local last = math.min(first + MOST - 1, #tags)
        local found = redis.call('HMGET', KEYS[at], unpack(tags, first, last))
        for place = first, last do
            local value = found[place - first + 1]
            held[tags[place]] = value and tonumber(value)
            was[tags[place]] = held[tags[place]]
        end
    end
    for place, tag in ipairs(tags) do
        local from = 9 + (place - 1) * STEP
        local what, high, low, b3, b2, b1, b0 = string.byte(packed, from, from + 6)
        local value = held[tag]
        local follows
        if what == BEGIN or what == LEAVE then
            follows = not value
        elseif what == RETRY then
            follows = value and redis.call('SISMEMBER', DOUBT, block .. tag) == 1
        else
            follows = value and value < HOW_UNIT
        end
        if not follows then
            return { 'CONTRADICTION', whole(at - 7) }
        end
        if value and counts then
            count(math.floor(value / HOW_UNIT), -1)
        end
        if what == WITHDRAW or what == RETRY then
            held[tag] = false
        else
            local how = what == BEGIN and 0 or hows[high * 256 + low + 1]
            held[tag] = how * HOW_UNIT + ((b3 * 256 + b2) * 256 + b1) * 256 + b0
            if counts then
                count(how, 1)
            end
        end
        if what == RETRY then
            out_of_doubt[#out_of_doubt + 1] = block .. tag
        end
    end
    local sets, deletes = {}, {}
    for tag, value in pairs(held) do
        local before = was[tag]
        if value then
            sets[#sets + 1] = tag
            sets[#sets + 1] = whole(value)
        elseif before then
            deletes[#deletes + 1] = tag
        end
        local begun, had_begun = value and value < HOW_UNIT, before and before < HOW_UNIT
        if begun and not had_begun then
            into_open[#into_open + 1] = block .. tag
        elseif had_begun and not begun then
            out_of_open[#out_of_open + 1] = block .. tag
        end
        if value and is_doubt[math.floor(value / HOW_UNIT)] then
            into_doubt[#into_doubt + 1] = block .. tag
        end
    end
    writes[#writes + 1] = { KEYS[at], sets, deletes }
end

call_with('HSET', HOW, new_hows)
for _, write in ipairs(writes) do
    call_with('HSET', write[1], write[2])
    call_with('HDEL', write[1], write[3])
end
call_with('SADD', OPEN, into_open)
call_with('SREM', OPEN, out_of_open)
call_with('SREM', DOUBT, out_of_doubt)
call_with('SADD', DOUBT, into_doubt)
for how, more in pairs(deltas) do
    if more ~= 0 then
        redis.call('HINCRBY', TOTAL, whole(how), whole(more))
    end
end
redis.call('HSET', HEAD, 'seq', number)
extend(lease)
return { 'OK' }
