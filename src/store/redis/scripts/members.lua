-- The list of replicas: incarnation to `GEN REVISION CHAIN BEATS SEEN NAME ADDRESS`, where SEEN is this
-- server's own time in milliseconds. It serves people and the check for doubled names, and no lease.

local function member(value)
    local gen, rev, chain, beats, seen, name, address = string.match(
        value, '^(%x+) (%d+) (%x+) (%d+) (%d+) ([%w%-_.]+) ([^\n]*)$')
    if not gen or not is_hex(gen, 32) or not is_count(rev) or not is_hex(chain, 64)
        or not is_count(beats) or not is_count(seen) then
        return nil
    end
    return { gen = gen, rev = rev, chain = chain, beats = beats, seen = seen, name = name, address = address }
end

-- All entries by incarnation, or nil and what to return instead.
local function members()
    local all = {}
    local flat = redis.call('HGETALL', REPS)
    for at = 1, #flat, 2 do
        local incarnation = flat[at]
        if incarnation ~= '' then
            local found = is_hex(incarnation, 32) and member(flat[at + 1])
            if not found then
                return nil, corrupt('the list of replicas', 'an entry does not read')
            end
            all[incarnation] = found
        end
    end
    return all
end
